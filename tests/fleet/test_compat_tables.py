"""Tables of browsers in the wiki: of the data of the site compat, kept in a keystore."""

import contextlib
import hashlib
import json

import pytest

from tests.support.keystores import talk
from tests.support.pushes import served
from tests.support.services import stopped
from tests.support.waiting import wait_for

CACHE = 11255
TITLE = "Fleet test of tables"
PATH = "/wiki/Fleet_test_of_tables"
TEXT = """\
<compat feature="css/grid"/>
<compat feature="css/nothing"/>
<compat feature="&lt;b&gt;css"/>
"""

# Runs in the wiki, as its user: tables of data that nobody would push, in a keystore that
# is this script's own.
TRIAL = """
use CompatTables\\Tables;
use MediaWiki\\Http\\HttpRequestFactory;
use MediaWiki\\MediaWikiServices;
use Wikimedia\\ObjectCache\\HashBagOStuff;

$services = MediaWikiServices::getInstance();
$language = $services->getLanguageFactory()->getLanguage( 'en' );
$answers = new class extends HttpRequestFactory {
    public $text = '';
    public $asked = 0;
    public function __construct() {}
    public function create( $url, array $options = [], $caller = '' ) {
        $this->asked++;
        return new class( $this->text ) {
            public function __construct( private $text ) {}
            public function execute() { return StatusValue::newGood(); }
            public function getContent() { return $this->text; }
        };
    }
};
$tables = static fn ( $cache, $source = '', $requests = null ) =>
    new Tables( $cache, $requests ?? $answers, $source, null, 60 );
$say = static function ( $text, $cache = null ) use ( $answers, $language, $tables ) {
    $answers->text = $text;
    return $tables( $cache ?? new HashBagOStuff() )->html( 'a/b', $language );
};
$told = [];

$data = static fn ( $title, $browser, $since ) => json_encode( [
    'browsers' => [ 'x' => $browser, 'y' => 'Y' ],
    'groups' => [ 'a' => [ 'features' => [
        'b' => [ 'title' => $title, 'since' => [ 'x' => $since ] ],
    ] ] ],
] );
$told['nasty'] = $say(
    $data( '<script>1</script>{{PAGENAME}}', '\\"><img src=x onerror=1>', '<b>&amp;' )
);
$told['wrong'] = array_map( $say, [
    '', 'null', '3', '[]', '"text"', '{', str_repeat( ' ', 600000 ) . $data( 'T', 'X', '1' ),
    $data( 'T', [], '1' ), $data( 'T', 3, '1' ),
    '{"browsers": {}, "groups": {"a": 1}}', '{"browsers": {}, "groups": {"a": {"features": 1}}}',
] );
$told['left out'] = array_map( $say, [
    $data( [], 'X', '1' ), $data( null, 'X', '1' ), $data( 'T', 'X', 1 ), $data( 'T', 'X', [] ),
    '{"browsers": {}, "groups": {"a": {"features": {"b": "T"}}}}', '{"browsers": {}, "groups": {}}',
] );
$told['names'] = array_keys( Tables::read(
    '{"browsers": {}, "groups": {"a": {"features": {"B": {"title": ""}, "b|c": {"title": ""},
    "b": {"title": ""}}}}}'
)['features'] );

$cache = new HashBagOStuff();
$answers->asked = 0;
$say( $data( 'Old', 'X', '1' ), $cache );
$told['kept'] = str_contains( $say( $data( 'New', 'X', '1' ), $cache ), 'Old' );
$tables( $cache )->forget( [ 'a/b' ], $language );
$told['purged'] = str_contains( $say( $data( 'New', 'X', '1' ), $cache ), 'New' );
$told['asked'] = $answers->asked;

$silent = stream_socket_server( 'tcp://127.0.0.1:0' );
$cache = new HashBagOStuff();
$begun = microtime( true );
foreach ( [ 1, 2, 3 ] as $_ ) {
    $source = 'http://' . stream_socket_get_name( $silent, false ) . '/';
    $asks = $tables( $cache, $source, $services->getHttpRequestFactory() );
    $told['silent'][] = $asks->html( 'a/b', $language );
}
$told['seconds'] = microtime( true ) - $begun;
echo '@@', json_encode( $told ), '@@';
"""


@pytest.fixture(scope="module")
def app(fleet):
    return fleet.with_role("app")[0]


@pytest.fixture(scope="module")
def key(fleet, site, app):
    """The table's key: the feature, the language, the data and the release."""
    data = site.session().get(site.url("compat", "/data.json"), timeout=30)
    assert data.status_code == 200 and "json" in data.headers["Content-Type"]
    version = hashlib.sha256(data.content).hexdigest()[:12]
    release = app.check_output("readlink /srv/release/wiki/current").rpartition("/")[2]
    return f"wiki:compat-table:css/grid:en:{version}:{release}"


@pytest.fixture(scope="module")
def page(writer):
    writer.edit(TITLE, TEXT)
    # What was not available a moment before is looked for again.
    writer.post(action="purge", titles=TITLE)


def is_kept(fleet, app, key):
    """Whether the keystore has it, asked through the broker as the wiki asks."""
    answer = talk(fleet, app.name, "127.0.0.1", CACHE, f"get {key}\r\n")[0]
    assert answer.startswith((f"VALUE {key} ", "END")), answer
    return answer.startswith("VALUE")


def test_readers_see_the_table_or_that_there_is_none(site, page):
    for status, _, text in served(site, "docs", PATH).values():
        assert status == 200
        table = text.partition('<table class="wikitable compat-table">')[2].partition("</table>")[0]
        assert "<caption>Grid layout: first version that can do it</caption>" in table
        for browser, version in {"Chrome": "57", "Safari": "10.1"}.items():
            assert f'<th scope="row">{browser}</th><td>{version}</td>' in table
        # A browser asks nobody else for it.
        assert "//" not in table
        assert text.count('<table class="wikitable compat-table">') == 1
        assert "There is no table of &quot;css/nothing&quot;" in text
        assert "<b>css" not in text and "&lt;b&gt;css" in text
        assert "Category:Pages_with_an_unknown_table_of_browsers" in text


def test_a_view_keeps_the_table_and_a_purge_drops_it(fleet, site, app, writer, page, key):
    # In a loop: what a page shows is written a moment after it was saved, and what was
    # made in the second of a purge counts as made after it.
    def dropped_and_made_anew():
        answer = writer.post(action="purge", titles=TITLE)
        assert "purged" in answer["purge"][0], answer
        dropped = not is_kept(fleet, app, key)
        served(site, "docs", PATH)
        return dropped and is_kept(fleet, app, key)

    wait_for(dropped_and_made_anew, 10, "the table goes by a purge and comes by a view")
    assert "<td>57</td>" in next(iter(served(site, "docs", PATH).values()))[2]


def test_a_page_with_a_table_is_kept_no_longer_than_an_hour(site, app, page):
    head = app.check_output(
        f"curl -s -o /dev/null -D - -H 'Host: docs.{site.domain}' -H 'X-Forwarded-Proto: https' "
        f"http://127.0.0.1{PATH}"
    )
    assert "s-maxage=3600" in head.lower()


def test_without_the_keystore_a_page_has_its_table(fleet, site, app, page):
    with contextlib.ExitStack() as away:
        for host in fleet.with_role("memcache-cache"):
            away.enter_context(stopped(host, "memcached"))
        text = app.check_output(
            f"curl -s -m 10 -H 'Host: docs.{site.domain}' -H 'X-Forwarded-Proto: https' "
            f"http://127.0.0.1{PATH}"
        )
    assert "<td>57</td>" in text


def test_data_that_nobody_would_push_and_a_source_that_is_silent(fleet, app):
    said = fleet.shell(
        app.name,
        "runuser -u wiki -- php /srv/release/mediawiki/current/maintenance/run.php "
        "eval --wiki=docs",
        stdin=f"eval( stream_get_contents( STDIN ) )\n{TRIAL}",
    )
    assert said.stdout.count("@@") == 2, said.stdout + said.stderr
    told = json.loads(said.stdout.split("@@")[1])
    for word in ("<script", "<img", "<b>"):
        assert word not in told["nasty"]
    for word in ("&lt;script>1&lt;/script>{{PAGENAME}}", "&lt;b>&amp;amp;", "Not yet"):
        assert word in told["nasty"]
    assert set(told["wrong"]) == {None}
    assert set(told["left out"]) == {""} and told["names"] == ["a/b"]
    assert told["kept"] and told["purged"] and told["asked"] == 2
    # One wait of two seconds for all who ask meanwhile.
    assert told["silent"] == [None] * 3 and 1.5 < told["seconds"] < 3
