"""Each switch of the wiki and the blog is seen in the files that they are made of."""

import copy

import jinja2
import pytest
import yaml

from tests.unit.conftest import ROOT, load_module

WIKI = load_module("_modules/site_mediawiki.py")
PHP = WIKI.php
SECRET = "sandbox-only-not-a-secret-at-all"
JINJA = jinja2.Environment(  # noqa: S701 - no page, and Salt does not escape either
    loader=jinja2.FileSystemLoader(ROOT / "salt"),
    undefined=jinja2.StrictUndefined,
    extensions=["jinja2.ext.do"],
)


def changed(component, changes):
    text = (ROOT / f"salt/{component}/defaults.yaml").read_text(encoding="utf-8")
    settings = copy.deepcopy(yaml.safe_load(text))
    for path, value in changes.items():
        *folders, key = path.split(":")
        inner = settings
        for folder in folders:
            inner = inner[folder]
        inner[key] = value
    return settings


def wiki(template="wiki.php.j2", site="docs", **changes):
    settings = changed("mediawiki", {key.replace("__", ":"): changes[key] for key in changes})
    database = {"name": site, "user": site, "admin": f"{site}_admin"}
    settings["wikis"] = {site: {"name": site, "pool": site, "database": database}}
    (made,) = WIKI.wikis(settings, "webplatform.test")
    made |= {"search_on": False, "cache_folder": "/var/cache/x", "log_folder": "/var/log/x"}
    names = ["database", "database_admin", "secret_key", "upgrade_key", "admin"]
    secrets = {"sessions": SECRET, "wikis": {site: dict.fromkeys(names, SECRET)}}
    return JINJA.get_template(f"mediawiki/templates/{template}").render(
        wiki=made,
        wikis=[made],
        salt={"site_mediawiki.php": PHP},
        pillar={"mediawiki": {"secrets": secrets}},
        ipv6=False,
        folder="/etc/mediawiki/wikis",
        secret_folder="/etc/mediawiki/secrets",
        own_folder="/usr/local/share/mediawiki-extensions",
        release="/srv/release/wiki",
        code="/srv/release/mediawiki/current",
        cdn_servers=[],
        domain="webplatform.test",
        accounts="https://accounts.webplatform.test",
    )


def blog(template="config.php.j2", **changes):
    settings = changed("wordpress", {key.replace("__", ":"): changes[key] for key in changes})
    return JINJA.get_template(f"wordpress/templates/{template}").render(
        blog=settings,
        salt={"site_mediawiki.php": PHP},
        pillar={"wordpress": {"secrets": {"database": SECRET, "keys": SECRET}}},
        server="https://blog.webplatform.test",
        host="blog.webplatform.test",
        content="/usr/local/share/wordpress-site",
        release="/srv/release/blog",
        code="/srv/release/wordpress/current",
        secret_folder="/etc/wordpress/secrets",
        caches=["10.0.0.1:6081"],
        accounts="https://accounts.webplatform.test",
        search_on=False,
        ipv6=False,
    )


# -- the wiki ------------------------------------------------------------------


def test_hosts_of_the_wiki_share_their_caches():
    settings = wiki()
    assert "$wgUseLocalMessageCache" not in settings, "a changed message would be read late"
    for kind in ("Main", "Parser", "Message"):
        assert f"$wg{kind}CacheType = 'site-cache';" in settings


def test_uploads_of_the_wiki_are_off():
    assert "$wgEnableUploads = false;" in wiki()
    assert "$wgUploadDirectory" not in wiki()
    assert "/w/images/" not in wiki("nginx-site.conf.j2")
    assert "thumb" not in wiki("nginx-site.conf.j2")


def test_uploads_of_the_wiki_are_on():
    on = wiki(uploads__enabled=True)
    assert "$wgEnableUploads = true;" in on
    assert "$wgUploadDirectory = '/srv/mediawiki/images/docs';" in on
    site = wiki("nginx-site.conf.j2", uploads__enabled=True)
    assert "alias /srv/mediawiki/images/docs/;" in site
    assert "location /w/images/" in site and "|thumb" in site
    assert "nosniff" in site


def test_the_wiki_makes_thumbnails():
    for on in (wiki(), wiki(uploads__enabled=True)):
        assert "$wgUseImageMagick = true;" in on and "$wgSVGConverter = 'rsvg';" in on
        assert "$wgDjvuRenderer = '/usr/bin/ddjvu';" in on


def test_the_wiki_makes_no_thumbnails():
    off = wiki(thumbnails__enabled=False)
    assert "$wgUseImageResize = false;" in off
    assert "ImageMagick" not in off and "rsvg" not in off and "djvu" not in off.lower()


def test_without_analytics_nothing_of_it_is_in_the_wiki():
    off = wiki(analytics__snippet="<script src='https://stats.webplatform.test/x.js'></script>")
    assert "stats" not in off and "site-analytics" not in off


def test_analytics_are_in_the_wiki():
    on = wiki(analytics__enabled=True, analytics__snippet="<script>it's</script>")
    assert r"addHeadItem( 'site-analytics', '<script>it\'s</script>' )" in on


@pytest.mark.parametrize(("indexed", "seen"), [(False, True), (True, False)])
def test_search_engines_and_the_wiki(indexed, seen):
    assert ("$wgDefaultRobotPolicy = 'noindex,nofollow';" in wiki(indexed=indexed)) is seen
    site = wiki("nginx-site.conf.j2", indexed=indexed)
    assert ('X-Robots-Tag "noindex, nofollow"' in site) is seen
    assert ("Disallow: /\\n" in site) is seen


def test_each_wiki_has_its_own_name_database_and_cache():
    for site in ("docs", "test"):
        text = wiki(site=site)
        assert f"$wgServer = 'https://{site}.webplatform.test';" in text
        assert f"$wgDBname = '{site}';" in text and "$wgCachePrefix = $wgDBname;" in text
        assert f"server_name {site}.webplatform.test;" in wiki("nginx-site.conf.j2", site=site)
        chosen = wiki("LocalSettings.php.j2", site=site)
        assert f"'{site}' => '{site}.webplatform.test'," in chosen
        assert "$siteDomain = 'webplatform.test';" in chosen
        assert SECRET not in chosen


def test_a_request_of_the_wiki_is_of_one_release():
    chosen = wiki("LocalSettings.php.j2")
    assert chosen.count("readlink( '/srv/release/wiki/current' )") == 1
    # The level's settings first: those of the authors may change what is theirs.
    assert chosen.index('"/$siteWiki.php"') < chosen.index('require "$siteRelease/settings.php"')
    # Whose code it is, and what its authors made: a deploy of each asks for its own.
    names = "basename( MW_INSTALL_PATH ) . ' ' . basename( $siteRelease )"
    assert f"header( 'X-Release: ' . {names} );" in chosen
    assert "lstat( '/srv/release/wiki/current' )" in wiki()
    assert "alias /srv/release/wiki/current/site/;" in wiki("nginx-site.conf.j2")


def scripts(site):
    """The parts of nginx's file that hand a request to PHP, but for the health check."""
    parts = [part.partition("\n    }")[0] for part in site.split("\n    location ")[1:]]
    return [part for part in parts if "fastcgi_pass" in part and "saltworks-health" not in part]


def test_scripts_of_the_wiki_are_of_the_release_that_the_link_names_now():
    found = scripts(wiki("nginx-site.conf.j2", uploads__enabled=True))
    assert len(found) == 3
    for part in found:
        assert "root /srv/release/mediawiki/current;" in part
        # By the link PHP would go on with the code that it has read.
        assert "SCRIPT_FILENAME $realpath_root/" in part and "DOCUMENT_ROOT" not in part
    site = wiki("nginx-site.conf.j2")
    assert "alias /srv/release/mediawiki/current/$file;" in site
    assert "/usr/share" not in site


def test_only_a_script_may_be_told_of_another_release():
    chosen = wiki("LocalSettings.php.j2")
    assert "PHP_SAPI === 'cli' ? getenv( 'SITE_WIKI_RELEASE' ) : false" in chosen
    assert chosen.count("SITE_WIKI_RELEASE") == 1


# -- the blog ------------------------------------------------------------------


@pytest.mark.parametrize(("indexed", "seen"), [(False, True), (True, False)])
def test_search_engines_and_the_blog(indexed, seen):
    assert (f"'blog_public' => {0 if seen else 1}") in blog(indexed=indexed)
    assert (
        'X-Robots-Tag "noindex, nofollow"' in blog("nginx-site.conf.j2", indexed=indexed)
    ) is seen


@pytest.mark.parametrize(
    ("moderation", "every", "first"), [("all", 1, 0), ("first", 0, 1), ("none", 0, 0)]
)
def test_moderation_of_the_blog(moderation, every, first):
    text = blog(comments__moderation=moderation)
    assert f"'comment_moderation' => {every}" in text
    assert f"'comment_previously_approved' => {first}" in text


def test_who_may_comment_in_the_blog():
    assert "'comment_registration' => 1" in blog()
    assert "'comment_registration' => 0" in blog(comments__registered_only=False)


def test_old_posts_of_the_blog():
    assert "'close_comments_for_old_posts' => 1, 'close_comments_days_old' => 90" in blog()
    assert "'close_comments_for_old_posts' => 0" in blog(comments__close_after_days=0)


def test_the_blog_changes_no_code_and_asks_nobody():
    text = blog()
    for switch in (
        "DISALLOW_FILE_EDIT",
        "DISALLOW_FILE_MODS",
        "WP_HTTP_BLOCK_EXTERNAL",
        "DISABLE_WP_CRON",
        "FORCE_SSL_ADMIN",
    ):
        assert f"define( '{switch}', true );" in text


def test_the_caches_that_the_blog_purges():
    assert "'caches' => [ '10.0.0.1:6081' ], 'timeout'" in blog()


def test_scripts_of_the_blog_are_named_before_all_others_are_refused():
    site = blog("nginx-site.conf.j2")
    assert site.index("?<script>index|") < site.index(r"location ~ \.php(?:/|$)")
    assert "location ^~ /wp-content/uploads/" in site


def test_scripts_of_the_blog_are_of_the_release_that_the_link_names_now():
    site = blog("nginx-site.conf.j2")
    assert site.count("root /srv/release/wordpress/current;") == 1
    found = scripts(site)
    assert len(found) == 2
    for part in found:
        assert "SCRIPT_FILENAME $realpath_root/" in part
        assert "DOCUMENT_ROOT $realpath_root;" in part
    assert "/usr/share" not in site


def test_a_request_of_the_blog_is_of_one_release():
    text = blog()
    assert text.count("readlink( '/srv/release/blog/current' )") == 1
    assert "define( 'WP_PLUGIN_DIR', SITE_RELEASE . '/plugins' );" in text
    names = "basename( ABSPATH ) . ' ' . basename( SITE_RELEASE )"
    assert f"header( 'X-Release: ' . {names} );" in text


def test_files_of_the_blog_come_from_the_release_or_from_the_host():
    site = blog("nginx-site.conf.j2")
    own = "releases/(?<release>[0-9a-f]+-[0-9a-f]+)/(?<file>(?:themes|plugins)/"
    for path, alias in (
        (own, "/srv/release/blog/releases/$release/$file"),
        ("(?<file>mu-plugins/", "/usr/local/share/wordpress-site/$file"),
    ):
        _, _, rest = site.partition(f"location ~ ^/wp-content/{path}")
        assert rest.split("}")[0].count(f"alias {alias};") == 1, path
    # All else of that folder is nobody's business: it is not the code's own.
    _, _, rest = site.partition("location /wp-content/ {")
    assert rest.split("}")[0].strip() == "return 404;"
