"""The pages of a level."""


def test_urls_come_from_the_registry_and_the_domain(load):
    pillar = {
        "site": {"domain": "webplatform.test"},
        "sites": {"docs": {}, "blog": {}},
        "static-sites": {"www": {"title": "Start page"}, "compat": {"title": "Compatibility"}},
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
                "frontend": {"pages": [{"name": "home"}, {"name": "start", "host": "www"}]},
                "mail": {"pages": [{"name": "mail", "host": "mail"}]},
                "blog": {"pages": [{"name": "blog", "host": "blog"}]},
                "db": {},
            }
        },
    }
    there = {
        "app": [{"id": "app1"}],
        "frontend": [{"id": "frontend1"}],
        # There, but its page's site is not one of this level.
        "mail": [{"id": "mail1"}],
        "blog": [],
    }

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
        {"name": "start", "url": "https://www.webplatform.test/", "login": None, "secret": None},
        {
            "name": "Compatibility",
            "url": "https://compat.webplatform.test/",
            "login": None,
            "secret": None,
        },
    ]
    # Without a frontend nobody serves them.
    there["frontend"] = []
    assert [page["name"] for page in module.listed()] == ["wiki"]
