"""A wiki as its writers meet it, by its API."""


class Writer:
    """Somebody who is logged in."""

    def __init__(self, site, password=None, wiki="docs"):
        self.site, self.browser, self.created = site, site.session(), []
        self.api = site.url(wiki, "/w/api.php")
        if password:
            answer = self.post(
                action="clientlogin",
                username="WikiAdmin",
                password=password,
                logintoken=self.token("login"),
                loginreturnurl=site.url(wiki),
            )
            assert answer["clientlogin"]["status"] == "PASS", answer

    def get(self, **what):
        answer = self.browser.get(self.api, params=what | {"format": "json"}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def post(self, **what):
        answer = self.browser.post(self.api, data=what | {"format": "json"}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def token(self, kind="csrf"):
        return self.get(action="query", meta="tokens", type=kind)["query"]["tokens"][f"{kind}token"]

    def name(self):
        return self.get(action="query", meta="userinfo")["query"]["userinfo"]["name"]

    def edit(self, title, text):
        answer = self.post(action="edit", title=title, text=text, token=self.token())
        assert answer.get("edit", {}).get("result") == "Success", answer
        if "new" in answer["edit"]:
            self.created.append(title)

    def tidy(self):
        """Delete the pages that came with edits, where they still are."""
        for title in self.created:
            self.post(action="delete", title=title, token=self.token())
