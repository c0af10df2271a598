"""The blog, for tests."""

import json

CORE = "/srv/release/wordpress/current"
LOGIN = "fleet-test-writer"


class Blog:
    """
    The blog, from outside and, for what a test needs beside it, as root of its host.

    site
        :py:class:`tests.support.site.Site`.
    """

    def __init__(self, site):
        self.site, self.fleet = site, site.fleet
        self.host = self.fleet.with_role("blog")[0]
        self.name = f"blog.{site.domain}"
        self.url = f"https://{self.name}"

    def get(self, path, **more):
        return self.site.session().get(self.url + path, **({"timeout": 60} | more))

    def php(self, code, user="root", **given):
        """Run PHP with WordPress loaded; what it echoes. `$given` has what was given."""
        script = (
            "<?php $_SERVER['HTTP_HOST'] = 'localhost';"
            f"require '{CORE}/wp-load.php';"
            f"$given = json_decode(<<<'J'\n{json.dumps(given)}\nJ\n, true);"
            f"{code}"
        )
        done = self.fleet.shell(self.host.name, f"runuser -u {user} -- php", stdin=script)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def forget(self, login):
        """Delete an account and what it wrote."""
        self.php(
            "require ABSPATH . 'wp-admin/includes/user.php';"
            "$id = username_exists($given['login']);"
            '$all = $wpdb->prepare("SELECT ID FROM $wpdb->posts WHERE post_author = %d", $id);'
            "if ($id) { foreach ($wpdb->get_col($all) as $post) wp_delete_post($post, true);"
            " wp_delete_user($id); }",
            login=login,
        )


class Author:
    """Somebody who signed in at the accounts site and works through the edge."""

    def __init__(self, blog, portal, password):
        self.blog, person = blog, portal.person()
        self.browser = person.browser
        form = self.browser.get(f"{blog.url}/wp-admin/", timeout=60)
        self.answer = person.sign_in(LOGIN, password, path=form.url, page=form)
        asked = self.browser.get(
            f"{blog.url}/wp-admin/admin-ajax.php?action=rest-nonce", timeout=60
        )
        self.nonce = asked.text.strip()

    def rest(self, method, path, **what):
        return self.browser.request(
            method,
            f"{self.blog.url}/wp-json/wp/v2/{path}",
            headers={"X-WP-Nonce": self.nonce},
            timeout=60,
            **what,
        )

    def publish(self, title, text, **more):
        made = self.rest(
            "POST", "posts", json={"title": title, "content": text, "status": "publish"} | more
        )
        assert made.status_code == 201, made.text
        return made.json()
