<?php
// Managed by Saltworks: site-search. Local changes are overwritten.

// One page that searches the whole site. It keeps nothing: no session, no cookie, no
// file; it may read the indices and do nothing else.

namespace SiteSearch;

require __DIR__ . '/OpenSearch.php';

const PAGE_SIZE = 10;

function html( string $text ): string {
	return htmlspecialchars( $text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8' );
}

/** A parameter as text, whatever was sent under its name. */
function parameter( string $name ): string {
	$value = $_GET[$name] ?? '';
	return is_string( $value ) ? mb_scrub( $value, 'UTF-8' ) : '';
}

/** What the search server says, in the form of the JSON answer. */
function answer( array $config, string $words, int $page ): array {
	$answer = [ 'query' => $words, 'page' => $page, 'available' => true, 'total' => 0, 'more' => false,
		'results' => [] ];
	if ( $words === '' ) {
		return $answer;
	}
	try {
		$found = ( new OpenSearch( $config['server'] ) )->search(
			array_keys( $config['sites'] ), $words, ( $page - 1 ) * PAGE_SIZE, PAGE_SIZE );
	} catch ( Unavailable | Refused $error ) {
		error_log( 'site-search: ' . $error->getMessage() );
		return [ 'available' => false ] + $answer;
	}
	foreach ( $found['hits'] as $hit ) {
		$source = $hit['source'];
		$url = (string)( $source['url'] ?? '' );
		// An index that somebody spoiled must not bring a link that runs something.
		if ( !preg_match( '~^https?://~', $url ) ) {
			continue;
		}
		$answer['results'][] = [
			'site' => (string)( $source['site'] ?? '' ),
			'title' => (string)( $source['title'] ?? '' ),
			'url' => $url,
			'updated' => (string)( $source['updated'] ?? '' ),
			'title_html' => $hit['title'],
			'snippet_html' => $hit['text'],
		];
	}
	$answer['total'] = $found['total'];
	$answer['more'] = $found['more'];
	return $answer;
}

function resultList( array $config, array $answer ): string {
	$list = '';
	foreach ( $answer['results'] as $result ) {
		$site = $config['sites'][$result['site']]['label'] ?? $result['site'];
		$day = html( substr( $result['updated'], 0, 10 ) );
		$list .= '<li><h2><a href="' . html( $result['url'] ) . '">' . $result['title_html'] . '</a></h2><p>' .
			$result['snippet_html'] . '</p><p class="quiet">' . html( ucfirst( $site ) ) .
			( $day ? ", <time datetime=\"$day\">$day</time>" : '' ) . "</p></li>\n";
	}
	return $list;
}

function pages( array $answer ): string {
	$last = (int)ceil( min( $answer['total'], OpenSearch::LAST_RESULT ) / PAGE_SIZE );
	if ( $last < 2 ) {
		return '';
	}
	$link = static fn ( int $page, string $label, string $rel ) => '<a rel="' . $rel . '" href="?' .
		html( http_build_query( [ 'q' => $answer['query'], 'page' => $page ] ) ) . "\">$label</a> ";
	return '<nav aria-label="Pages of results"><p>' .
		( $answer['page'] > 1 ? $link( $answer['page'] - 1, 'Previous', 'prev' ) : '' ) .
		"Page {$answer['page']} of $last " .
		( $answer['page'] < $last ? $link( $answer['page'] + 1, 'Next', 'next' ) : '' ) . '</p></nav>';
}

/** The searches of the sites themselves, with the same words. */
function elsewhere( array $config, string $words ): string {
	$links = [];
	foreach ( $config['sites'] as $site ) {
		$links[] = '<li><a href="' . html( $site['search'] . rawurlencode( $words ) ) . '">Search the ' .
			html( $site['label'] ) . '</a></li>';
	}
	return '<ul>' . implode( '', $links ) . '</ul>';
}

function content( array $config, array $answer ): string {
	if ( $answer['query'] === '' ) {
		return '<p>Type what you look for. All the words must be in a page; &quot;words in quotes&quot; stand ' .
			'together, -word leaves pages out, begin* finds what begins so.</p>';
	}
	if ( !$answer['available'] ) {
		return '<div class="message bad" role="alert"><p><strong>Search is not available just now.</strong> The pages ' .
			'themselves are. Please try again in a few minutes, or use the search of each site:</p>' .
			elsewhere( $config, $answer['query'] ) . '</div>';
	}
	if ( $answer['total'] === 0 ) {
		return '<p role="status">Nothing was found for <strong>' . html( $answer['query'] ) .
			'</strong>. Fewer words find more pages.</p>';
	}
	$first = ( $answer['page'] - 1 ) * PAGE_SIZE + 1;
	$count = ( $answer['more'] ? 'more than ' : '' ) . number_format( $answer['total'] ) .
		( $answer['total'] === 1 ? ' page' : ' pages' );
	return "<p role=\"status\">$count found.</p><ol class=\"results\" start=\"$first\">\n" .
		resultList( $config, $answer ) . '</ol>' . pages( $answer );
}

function description( array $config ): string {
	return '<?xml version="1.0" encoding="UTF-8"?>' .
		'<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">' .
		'<ShortName>' . html( mb_substr( $config['name'], 0, 16 ) ) . '</ShortName>' .
		'<Description>' . html( 'Search ' . $config['name'] ) . '</Description>' .
		'<InputEncoding>UTF-8</InputEncoding>' .
		'<Url type="text/html" template="' . html( $config['url'] ) . '/?q={searchTerms}"/>' .
		'</OpenSearchDescription>';
}

function document( array $config, array $answer ): string {
	$words = html( $answer['query'] );
	$name = html( $config['name'] );
	$title = $answer['query'] === '' ? 'Search' : "$words - Search";
	$home = html( $config['home'] );
	$links = '';
	foreach ( $config['sites'] as $site ) {
		$links .= '<a href="' . html( $site['home'] ) . '">' . html( ucfirst( $site['label'] ) ) . '</a> ';
	}
	$focus = $answer['query'] === '' ? ' autofocus' : '';
	$longest = OpenSearch::LONGEST_QUERY;
	$content = content( $config, $answer );
	return <<<HTML
		<!DOCTYPE html>
		<html lang="en">
		<head>
		<meta charset="utf-8">
		<meta name="viewport" content="width=device-width, initial-scale=1">
		<meta name="robots" content="noindex">
		<title>$title - $name</title>
		<link rel="stylesheet" href="/site.css">
		<link rel="icon" href="/logo.svg" type="image/svg+xml">
		<link rel="search" type="application/opensearchdescription+xml" href="/opensearch.xml" title="$name">
		</head>
		<body>
		<a class="skip" href="#main">To the content</a>
		<header class="head">
		<a class="name" href="$home"><img src="/logo.svg" alt="" width="35" height="35">$name</a>
		<nav aria-label="Parts of the site">$links</nav>
		</header>
		<main id="main">
		<h1>Search</h1>
		<form class="row" role="search" action="/" method="get">
		<input type="search" name="q" aria-label="Search the whole site" maxlength="$longest" value="$words"$focus>
		<button>Search</button>
		</form>
		$content
		</main>
		</body>
		</html>

		HTML;
}

$config = require '/etc/site-search/config.php';
header( 'X-Content-Type-Options: nosniff' );
header( "Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; " .
	"base-uri 'none'; frame-ancestors 'none'" );
if ( ( $_SERVER['DOCUMENT_URI'] ?? '' ) === '/opensearch.xml' ) {
	header( 'Content-Type: application/opensearchdescription+xml; charset=utf-8' );
	header( 'Cache-Control: public, max-age=86400' );
	echo description( $config );
	return;
}
$words = trim( mb_substr( parameter( 'q' ), 0, OpenSearch::LONGEST_QUERY, 'UTF-8' ) );
$page = max( 1, min( (int)parameter( 'page' ), intdiv( OpenSearch::LAST_RESULT, PAGE_SIZE ) ) );
$answer = answer( $config, $words, $page );
header( $answer['available'] ? 'Cache-Control: public, max-age=0, s-maxage=' . (int)$config['cache_seconds']
	: 'Cache-Control: no-store' );
if ( parameter( 'format' ) === 'json' ) {
	header( 'Content-Type: application/json; charset=utf-8' );
	echo json_encode( $answer, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_HEX_TAG | JSON_HEX_AMP ) . "\n";
} else {
	header( 'Content-Type: text/html; charset=utf-8' );
	echo document( $config, $answer );
}
