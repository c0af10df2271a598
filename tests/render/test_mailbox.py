"""The level's mailbox is a site where mail ends in it, and nowhere else."""

import re


def test_the_mailbox_is_shown_only_where_mail_ends_in_it(compiled):
    kinds = set()
    for level, hosts in compiled.items():
        pillars = [result["pillar"] for result in hosts.values()]
        ends = {each.get("postfix", {}).get("deliver", "sink") for each in pillars}
        assert len(ends) == 1, level
        sunk = ends == {"sink"}
        kinds.add(sunk)
        name = re.compile(rf"(?<![\w.@-])mail\.{re.escape(pillars[0]['site']['domain'])}\b")
        for host, result in hosts.items():
            roles = host.split(".")[0].rstrip("0123456789").split("-")
            named = {path for path, file in result["files"].items() if name.search(file["text"])}
            components = {state["sls"].split(".")[0] for state in result["states"]}
            assert ("mail" in result["pillar"]["sites"]) is sunk
            assert ("mhonarc" in components) is (sunk and "mail" in roles), host
            if not sunk:
                assert named == set(), host
                assert roles != ["mail"] or not {"nginx", "sso-gate"} & components, host
            elif {"frontend", "mail", "accounts"} & set(roles):
                assert named > {"/etc/hosts"}, host
    assert kinds == {True, False}


def test_only_the_list_may_run_a_script_and_all_is_behind_the_gate(compiled):
    for hosts in compiled.values():
        for result in hosts.values():
            site = result["files"].get("/etc/nginx/sites-enabled/mhonarc.conf", {}).get("text", "")
            for path, block in re.findall(r"location ([^{]+) \{([^}]+)\}", site):
                if "root " not in block:
                    assert path in ("/", "= /", "= /robots.txt"), path
                    continue
                assert "include snippets/sso-require-operators.conf;" in block, path
                assert "default-src 'none'" in block, path
                assert ("script-src" in block) == (path == "= /index.html"), path
