"""The pages of a level."""


def test_urls_come_from_the_registry_and_the_domain(load):
    pillar = {
        "site": {"domain": "webplatform.test"},
        "registry": {
            "roles": {
                "app": {
                    "pages": [
                        {
                            "name": "wiki",
                            "host": "docs",
                            "login": "WikiAdmin",
                            "secret": "wiki-admin",
                        }
                    ]
                },
                "www": {"pages": [{"name": "home"}]},
                "blog": {"pages": [{"name": "blog", "host": "blog"}]},
                "db": {},
            }
        },
    }
    there = {"app": [{"id": "app1"}], "www": [{"id": "www1"}], "blog": []}

    def peers(role, minimum):
        assert minimum == 0
        return there[role]

    module = load("_modules/site_pages.py", pillar=pillar, salt={"site_hosts.peers": peers})
    assert module.listed() == [
        {
            "name": "wiki",
            "url": "https://docs.webplatform.test/",
            "login": "WikiAdmin",
            "secret": "wiki-admin",
        },
        {"name": "home", "url": "https://webplatform.test/", "login": None, "secret": None},
    ]
