"""
The gpg renderer, offline: an encrypted value becomes a stand-in.

Whoever compiles has no private key, and needs none: what is checked is where a
secret goes, not what it is. ``__opts__["offline"]["stand_ins"]`` is
``{armoured block without white space: stand-in}``.
"""


def _replace(value):
    if isinstance(value, dict):
        return {key: _replace(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner) for inner in value]
    if isinstance(value, str) and "BEGIN PGP MESSAGE" in value:
        return __opts__["offline"]["stand_ins"]["".join(value.split())]
    return value


def render(gpg_data, saltenv="base", sls="", argline="", **kwargs):
    """
    Replace each encrypted value of a rendered pillar file by its stand-in.

    Arguments are those of Salt's own gpg renderer. An encrypted value that does
    not stand in the level's table of secrets raises KeyError.
    """
    return _replace(gpg_data)
