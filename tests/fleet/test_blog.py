"""The blog as its readers and writers meet it, through the public edge."""

import contextlib
import re
import secrets as random
from concurrent import futures

import pytest

from tests.support.blog import LOGIN
from tests.support.services import stopped
from tests.support.waiting import wait_for

# Ways in that are closed, and what is nobody's business.
HIDDEN = [
    "/xmlrpc.php",
    "/wp-cron.php",
    "/wp-trackback.php",
    "/wp-mail.php",
    "/wp-signup.php",
    "/wp-config.php",
    "/wp-settings.php",
    "/wp-admin/install.php",
    "/wp-admin/upgrade.php",
    "/wp-admin/setup-config.php",
    "/wp-admin/plugin-install.php",
    "/wp-admin/theme-editor.php",
    "/wp-admin/includes/upgrade.php",
    "/wp-includes/version.php",
    "/wp-content/object-cache.php",
    "/wp-content/db.php",
    "/wp-content/mu-plugins/site.php",
    "/index.php/xmlrpc.php/",
    "/readme.html",
    "/.git/config",
    "/author/blogadmin/",
    "/wp-sitemap-users-1.xml",
]


@pytest.fixture(scope="module")
def post(author):
    return author.publish(f"Fleet test {random.token_hex(4)}", "Written by a test.")


# -- readers -------------------------------------------------------------------


def test_the_front_page(blog):
    answer = blog.get("/")
    assert answer.status_code == 200 and answer.url == f"{blog.url}/"
    assert "<title>Web Platform Blog" in answer.text
    # The edge keeps it, and nobody after the edge does: a page is purged there only.
    assert answer.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    assert blog.get("/").headers["X-Cache"] == "HIT"
    assert "Set-Cookie" not in answer.headers
    # Nothing of the page comes from anybody else.
    outside = set(re.findall(r'(?:src|href)=["\'](?:https?:)?//([^/"\']+)', answer.text))
    assert {name for name in outside if not name.endswith(blog.fleet.domain())} == set()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/feed/", "application/rss+xml"),
        ("/comments/feed/", "application/rss+xml"),
        ("/wp-json/wp/v2/posts", "application/json"),
        ("/wp-sitemap.xml", "application/xml"),
        ("/robots.txt", "text/plain"),
        ("/wp-includes/js/jquery/jquery.min.js", "javascript"),
        ("/site.css", "text/css"),
    ],
)
def test_what_a_reader_asks_for(blog, path, kind):
    if path == "/wp-sitemap.xml" and not blog.php("echo get_option('blog_public') ? 1 : '';"):
        pytest.skip("this level is not for search engines: there is no sitemap")
    answer = blog.get(path)
    assert answer.status_code == 200, path
    assert kind in answer.headers["Content-Type"]


@pytest.mark.parametrize("path", HIDDEN)
def test_what_is_closed_does_not_exist(blog, path):
    assert blog.get(path, allow_redirects=False).status_code == 404
    assert blog.site.session().post(blog.url + path, data="x", timeout=60).status_code == 404


def test_only_the_public_site_is_for_search_engines(blog):
    answer = blog.get("/")
    indexed = blog.php("echo get_option('blog_public') ? 1 : '';") == "1"
    assert ("noindex" in answer.text) is not indexed
    assert ("noindex" in answer.headers.get("X-Robots-Tag", "")) is not indexed


def test_names_of_accounts_are_not_told(blog, post):
    assert blog.get("/wp-json/wp/v2/users").status_code == 401
    assert blog.get("/?rest_route=/wp/v2/users/1").status_code == 401
    answer = blog.get("/?author=1", allow_redirects=False)
    assert answer.status_code == 404
    for path in ("/feed/", post["link"].removeprefix(blog.url)):
        assert f"author/{LOGIN}" not in blog.get(path).text
    page = blog.site.session().post(
        f"{blog.url}/wp-login.php", data={"log": "nobody-at-all", "pwd": "x"}, timeout=60
    )
    assert "do not fit together" in page.text and "nobody-at-all</strong>" not in page.text


def test_a_forged_host_is_refused(blog):
    answer = blog.site.session().get(
        f"https://nobody.{blog.fleet.domain()}/", allow_redirects=False, timeout=30
    )
    assert answer.status_code == 421
    frontend = blog.fleet.with_role("frontend")[0]
    said = frontend.check_output(
        "curl -s -o /dev/null -w '%{http_code}' -H 'Host: evil.example' "
        f"http://{blog.fleet.address(blog.host.name)}/"
    )
    assert said == "421"


def test_a_header_makes_no_https(blog):
    # Not from the edge: what it claims about the scheme counts nothing.
    said = blog.host.check_output(
        f"curl -s -o /dev/null -w '%{{http_code}} %{{redirect_url}}' -H 'Host: {blog.name}' "
        "-H 'X-Forwarded-Proto: https' http://127.0.0.1/wp-admin/"
    )
    assert said.startswith("302 https://")


# -- writers -------------------------------------------------------------------


def test_the_admin_pages_work_through_the_edge(blog, author):
    assert author.answer.status_code == 200
    assert author.answer.url == f"{blog.url}/wp-admin/"
    for path in ("/wp-admin/edit.php", "/wp-admin/post-new.php", "/wp-admin/profile.php"):
        answer = author.browser.get(blog.url + path, timeout=60)
        assert answer.status_code == 200 and answer.url == blog.url + path, path
        assert "no-cache" in answer.headers["Cache-Control"]
    page = author.browser.get(blog.url, timeout=60)
    assert "no-cache" in page.headers["Cache-Control"] or "private" in page.headers["Cache-Control"]


def test_a_stranger_is_asked_to_log_in(blog, portal):
    for path in ("/wp-admin/", "/wp-login.php", "/wp-login.php?action=x&interim-login=1"):
        assert blog.get(path).url.startswith(f"{portal.url}oauth2/authorize?"), path
    assert blog.site.session().post(f"{blog.url}/wp-json/wp/v2/posts", json={}).status_code == 401


def test_a_post_is_read_at_once(blog, author):
    before = blog.get("/").text
    word = random.token_hex(8)
    made = author.publish(f"Fleet test {word}", f"Text {word}")
    assert re.fullmatch(rf"{blog.url}/\d{{4}}/\d\d/fleet-test-{word}/", made["link"])
    assert word not in before
    assert word in blog.get("/").text
    # The same list is a month's archive and the results of a search, each with its title.
    month = made["link"].removeprefix(blog.url)[: len("/2000/01/")]
    for path in (month, f"/?s={word}"):
        assert blog.get(path).text.count("<h1 ") == 1, path
    assert word in blog.get("/feed/").text
    assert word in blog.get(made["link"].removeprefix(blog.url)).text
    again = random.token_hex(8)
    assert author.rest("POST", f"posts/{made['id']}", json={"content": again}).ok
    assert again in blog.get(made["link"].removeprefix(blog.url)).text
    assert author.rest("DELETE", f"posts/{made['id']}").ok
    assert blog.get(made["link"].removeprefix(blog.url)).status_code == 404
    assert word not in blog.get("/").text


def test_a_post_and_its_comments_are_found(blog, author):
    if not blog.fleet.with_role("elastic"):
        pytest.skip("this level has no search server")
    word, said = "findme" + random.token_hex(6), "findme" + random.token_hex(6)

    def everywhere(words):
        """The addresses that the site's search page and the blog's own search find."""
        answer = (
            blog.site.session()
            .get(
                f"https://search.{blog.fleet.domain()}/",
                params={"q": words, "format": "json"},
                timeout=30,
            )
            .json()
        )
        page = blog.get("/", params={"s": words}).text
        return [one["url"] for one in answer["results"] if one["site"] == "blog"], page

    # The database's own search knows no stems and no comments.
    made = author.publish(f"Fleet test {random.token_hex(4)}", f"{word} foxes were jumping")
    form = {"comment": f"A comment {said}", "comment_post_ID": made["id"], "comment_parent": 0}
    assert author.browser.post(f"{blog.url}/wp-comments-post.php", data=form, timeout=60).ok
    for words in (f"{word} fox jumped", said):

        def found(words=words):
            urls, page = everywhere(words)
            return urls == [made["link"]] and made["link"] in page

        wait_for(found, 30, f"a post is found by {words}")
    assert author.rest("DELETE", f"posts/{made['id']}").ok

    def gone():
        urls, page = everywhere(f"{word} fox jumped")
        return urls == [] and made["link"] not in page

    wait_for(gone, 30, "a post in the trash is found no more")


def test_a_comment_needs_a_login_and_is_read_at_once(blog, author, post):
    word = random.token_hex(8)
    form = {"comment": f"A comment {word}", "comment_post_ID": post["id"], "comment_parent": 0}
    refused = blog.site.session().post(f"{blog.url}/wp-comments-post.php", data=form, timeout=60)
    assert refused.status_code == 403
    path = post["link"].removeprefix(blog.url)
    assert word not in blog.get(path).text
    taken = author.browser.post(f"{blog.url}/wp-comments-post.php", data=form, timeout=60)
    assert taken.status_code == 200, taken.status_code
    assert word in blog.get(path).text
    assert word in blog.get("/comments/feed/").text


def test_an_upload_is_served_and_never_run(blog, author):
    name = f"fleet-{random.token_hex(4)}"
    png = (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
        b"\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff"
        b"\x56\xc7\x2f\x0d\x00\x00\x00\x00IEND\xaeB`\x82"
    )
    kind = {
        "Content-Disposition": f'attachment; filename="{name}.png"',
        "Content-Type": "image/png",
    }
    made = author.browser.post(
        f"{blog.url}/wp-json/wp/v2/media",
        data=png,
        headers=kind | {"X-WP-Nonce": author.nonce},
        timeout=60,
    )
    assert made.status_code == 201, made.text
    path = made.json()["source_url"].removeprefix(blog.url)
    seen = blog.get(path)
    assert seen.content == png and seen.headers["X-Content-Type-Options"] == "nosniff"
    bad = author.browser.post(
        f"{blog.url}/wp-json/wp/v2/media",
        data="<?php echo 6*7;",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.php"',
            "Content-Type": "image/png",
            "X-WP-Nonce": author.nonce,
        },
        timeout=60,
    )
    assert bad.status_code >= 400
    # Even one that got there in another way.
    folder = f"/srv/wordpress/uploads/{name}"
    with contextlib.ExitStack() as after:
        after.callback(blog.host.run_expect, [0], f"rm -rf {folder}")
        blog.host.run_expect([0], f"mkdir {folder}; chmod 755 {folder}")
        for ending in ("php", "PHP", "phtml", "php.png", "html"):
            blog.host.run_expect([0], f"echo '<?php echo 6*7;' > {folder}/x.{ending}")
            assert blog.get(f"/wp-content/uploads/{name}/x.{ending}").status_code == 404, ending
        blog.host.run_expect([0], f"cp {folder}/x.php {folder}/x.png")
        for path in ("x.png/y.php", "x.png/index.php", "x.png%00.php"):
            answer = blog.get(f"/wp-content/uploads/{name}/{path}")
            assert answer.status_code in (400, 404), path


def test_code_is_not_changed_from_a_browser(blog):
    said = blog.php(
        "wp_set_current_user(get_user_by('login', 'BlogAdmin')->ID);"
        "foreach (['install_plugins', 'edit_plugins', 'update_core', 'edit_themes',"
        " 'install_themes'] as $right) echo current_user_can($right) ? $right : '-';"
    )
    assert said == "-----"
    written = blog.host.check_output(
        "find /usr/local/share/wordpress-site /srv/release /etc/wordpress "
        "\\( -user blog -o -group blog -perm -g=w -o -perm -o=w \\) ! -type l"
    )
    assert written == ""


def test_guessing_passwords_is_slowed_down(blog):
    def guess(_):
        form = {"log": LOGIN, "pwd": "wrong"}
        answer = blog.site.session().post(f"{blog.url}/wp-login.php", data=form, timeout=120)
        return answer.status_code

    # At once: on a slow machine one after the other is slow enough to be let in.
    with futures.ThreadPoolExecutor(20) as crowd:
        seen = set(crowd.map(guess, range(20)))
    assert 429 in seen
    # Others, and readers at the same address, do not notice.
    assert blog.get("/wp-login.php?breakglass").status_code == 200
    assert blog.get("/").status_code == 200


# -- what is behind ------------------------------------------------------------


def test_the_database_is_spoken_to_with_a_verified_certificate(blog):
    assert blog.php("echo $wpdb->get_row(\"SHOW STATUS LIKE 'Ssl_cipher'\")->Value;")
    # As the blog's user, with another authority (one of the public ones: the system's
    # list has the level's own): no connection at all.
    script = (
        "<?php $_SERVER['HTTP_HOST'] = 'localhost'; require '/etc/wordpress/config-default.php';"
        "mysqli_report(MYSQLI_REPORT_OFF); [$h, $p] = explode(':', DB_HOST);"
        "foreach ([SITE_SETTINGS['database']['ca'] => MYSQLI_CLIENT_SSL,"
        " '/etc/ssl/certs/ISRG_Root_X1.pem' => MYSQLI_CLIENT_SSL, '' => 0] as $ca => $flag) {"
        " $c = mysqli_init(); $c->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, 1);"
        " if ($ca) $c->ssl_set(null, null, $ca, null, null);"
        " echo @$c->real_connect($h, DB_USER, DB_PASSWORD, DB_NAME, $p, null, $flag)"
        " ? 'in ' : 'refused '; }"
    )
    said = blog.fleet.shell(blog.host.name, "runuser -u blog -- php", stdin=script)
    assert said.stdout.split() == ["in", "refused", "refused"], said.stdout + said.stderr


def test_pages_run_as_a_user_who_changes_no_tables(blog):
    said = blog.php(
        "$wpdb->suppress_errors(); $wpdb->query('CREATE TABLE x (a INT)'); echo $wpdb->last_error;",
        user="blog",
    )
    assert "denied" in said


def test_objects_are_kept_and_voided(blog):
    word = random.token_hex(8)
    store = "wp_cache_set('fleet', $given['word'], 'fleet'); echo wp_cache_get('fleet', 'fleet');"
    read = "echo wp_cache_get('fleet', 'fleet') ?: 'nothing';"
    assert blog.php(store, word=word) == word
    assert blog.php(read) == word
    assert blog.php("wp_cache_flush(); " + read) == "nothing"
    assert blog.php(read) == "nothing"
    assert blog.php(store, word=word) == word
    assert blog.php("wp_cache_delete('fleet', 'fleet'); " + read) == "nothing"
    assert blog.php(read) == "nothing"


def test_pages_and_posts_go_on_without_the_cache(blog, author):
    word = random.token_hex(8)
    blog.php("wp_cache_set('fleet', 'old', 'fleet');")
    with contextlib.ExitStack() as after:
        for host in blog.fleet.with_role("memcache-cache"):
            after.enter_context(stopped(host, "memcached"))
        assert blog.get(f"/?{word}").status_code == 200
        made = author.publish(f"Fleet test {word}", "While the cache was away.")
        assert word in blog.get(made["link"].removeprefix(blog.url)).text
        assert author.rest("DELETE", f"posts/{made['id']}").ok
    # What changed meanwhile could not be told to the cache: it starts anew.
    assert blog.php("echo wp_cache_get('fleet', 'fleet') ?: 'nothing';") == "nothing"


def test_a_frontend_that_is_away_costs_no_post(blog):
    # 192.0.2.1 answers nobody.
    said = blog.php(
        "$r = new ReflectionClass('Site_Purge'); $p = $r->getProperty('paths');"
        "$p->setValue(null, ['/' => true]); $began = microtime(true);"
        "Site_Purge::send(); echo microtime(true) - $began < 2 ? 'in time' : 'late';"
    )
    assert said.splitlines()[-1].endswith("in time")


def test_sessions_of_php_go_through_localhost(blog):
    script = (
        "<?php ini_set('session.save_handler', 'memcached');"
        "ini_set('session.save_path', '127.0.0.1:11211');"
        "ini_set('memcached.sess_binary_protocol', '0'); session_id('fleettest');"
        "session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];"
    )
    first = blog.fleet.shell(blog.host.name, "runuser -u blog -- php", stdin=script).stdout
    second = blog.fleet.shell(blog.host.name, "runuser -u blog -- php", stdin=script).stdout
    assert int(second) == int(first) + 1


def test_what_is_due_runs_from_the_timer(blog):
    assert blog.host.service("wordpress-cron.timer").is_running
    mark = random.token_hex(8)
    made = blog.php(
        "echo wp_insert_post(['post_title' => $given['mark'], 'post_content' => 'x',"
        " 'post_status' => 'future', 'post_date_gmt' => gmdate('Y-m-d H:i:s', time() + 2),"
        " 'post_date' => get_date_from_gmt(gmdate('Y-m-d H:i:s', time() + 2))]);",
        mark=mark,
    )

    def published():
        blog.host.run_expect([0], "systemctl start wordpress-cron.service")
        return blog.php("echo get_post_status((int) $given['id']);", id=made) == "publish"

    wait_for(published, 60, "a scheduled post is published by the timer's service")
    assert mark in blog.get("/").text
    blog.php("wp_delete_post((int) $given['id'], true);", id=made)


def test_nobody_outside_is_asked(blog):
    said = blog.php("$a = wp_remote_get('https://api.example.org/'); echo $a->get_error_code();")
    assert said == "http_request_not_executed"


@pytest.mark.role("blog")
def test_settings_are_the_blog_s_own(fleet, host):
    settings = host.file("/etc/wordpress/config-default.php")
    assert (settings.user, settings.group, settings.mode) == ("root", "blog", 0o640)
    for name in ("admin", "database_admin"):
        secret = host.file(f"/etc/wordpress/secrets/{name}")
        assert (secret.user, secret.mode) == ("root", 0o600)
    assert host.run("runuser -u www-data -- cat /etc/wordpress/config-default.php").rc != 0
    assert not host.package("apache2").is_installed
