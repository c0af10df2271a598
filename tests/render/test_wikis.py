"""The wikis of a family, as hosts of every level get them."""

import re

import pytest

WIKIS = {"docs", "test"}
OWN = ["$wgSecretKey", "$wgUpgradeKey", "$wgDBname", "$wgDBuser", "$wgDBpassword", "$wgServer"]


@pytest.fixture(scope="module")
def apps(compiled):
    """``[(level, pillar, {path: text})]`` of one host of the wikis in each level."""
    found = {}
    for level, hosts in compiled.items():
        for result in hosts.values():
            files = {path: file["text"] for path, file in result["files"].items()}
            if "/etc/mediawiki/LocalSettings.php" in files:
                found.setdefault(level, (level, result["pillar"], files))
    assert set(found) == set(compiled)
    return list(found.values())


def settings(files):
    """``{wiki: text}``."""
    place = "/etc/mediawiki/wikis/"
    return {
        path.removeprefix(place).removesuffix(".php"): text
        for path, text in files.items()
        if path.startswith(place)
    }


def test_each_wiki_has_settings_that_no_other_has(apps):
    for level, _, files in apps:
        found = settings(files)
        assert set(found) == WIKIS, level
        for key in OWN:
            said = [re.findall(rf"^{re.escape(key)} = (.+);$", found[wiki], re.M) for wiki in WIKIS]
            assert all(said) and not {*said[0]} & {*said[1]}, f"{level}: {key}"


def test_what_chooses_knows_each_and_no_secret(apps):
    for level, pillar, files in apps:
        text, domain = files["/etc/mediawiki/LocalSettings.php"], pillar["site"]["domain"]
        assert set(re.findall(r"^\t\t'(\w+)' => ", text, re.M)) == WIKIS, level
        for wiki in WIKIS:
            assert f"'{wiki}' => '{wiki}.{domain}'," in text
            for secret in pillar["mediawiki"]["secrets"]["wikis"][wiki].values():
                assert secret not in text
        assert "$wgServer" not in text


def test_nginx_hands_each_name_to_its_own_pool(apps):
    for _, pillar, files in apps:
        servers = files["/etc/nginx/sites-enabled/mediawiki.conf"].split("\nserver {")[1:]
        pools = {
            re.search(r"server_name ([^;.]+)", server)[1]: {
                *re.findall(r"unix:/run/php/([^.]+)\.sock", server)
            }
            for server in servers
        }
        wikis = pillar["mediawiki"]["wikis"]
        assert pools == {wiki: {wikis[wiki]["pool"]} for wiki in WIKIS}


def test_only_the_first_wiki_of_production_is_for_search_engines(apps):
    for level, _, files in apps:
        servers = files["/etc/nginx/sites-enabled/mediawiki.conf"].split("\nserver {")[1:]
        closed = {
            re.search(r"server_name ([^;.]+)", server)[1]
            for server in servers
            if "noindex" in server and "Disallow: /\\n" in server
        }
        assert closed == (WIKIS - {"docs"} if level == "production" else WIKIS), level
        told = {wiki for wiki, text in settings(files).items() if "noindex,nofollow" in text}
        assert told == closed


def test_the_test_wiki_is_not_in_the_site_s_search(apps):
    for _, _, files in apps:
        found = settings(files)
        assert "SiteSearch" not in found["test"]
        assert "mediawiki-search-jobs-test" not in "".join(files)
        if "SiteSearch" in found["docs"]:
            assert "/etc/systemd/system/mediawiki-search-jobs-docs.service" in files
