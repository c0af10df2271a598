"""
Sends requests to a master as an accepted minion, past every check of the client.

    python request.py MINION_CONFIG < REQUESTS_JSON

Prints the list of answers as JSON; `{"refused": "<why>"}` for one that raised.
"""

import json
import sys

import salt.channel.client
import salt.config


def answer(opts, request):
    try:
        with salt.channel.client.ReqChannel.factory(opts) as channel:
            if request["cmd"] == "_pillar":
                return channel.crypted_transfer_decode_dictentry(
                    request, dictkey="pillar", timeout=10, tries=1
                )
            return channel.send(request, timeout=10, tries=1)
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}


def main(config):
    opts = salt.config.minion_config(config)
    opts["master_uri"] = f"tcp://{opts['master']}:{opts['master_port']}"
    answers = [answer(opts, request) for request in json.load(sys.stdin)]
    print(json.dumps(answers, default=lambda value: value.decode(errors="replace")))


if __name__ == "__main__":
    main(sys.argv[1])
