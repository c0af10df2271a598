<?php
# Managed by Saltworks: mediawiki. Local changes are overwritten.

if ( !defined( 'MEDIAWIKI' ) ) {
	exit;
}

# Which wiki? A request says so by the name of nginx's site, never by a header of its
# own; a script by --wiki. Any other name is refused: none of them is the default.
$siteWiki = ( static function () {
	$wikis = [
		'docs' => 'docs.webplatform.test',
		'test' => 'test.webplatform.test',
	];
	if ( PHP_SAPI === 'cli' ) {
		if ( defined( 'MW_WIKI_NAME' ) && isset( $wikis[MW_WIKI_NAME] ) ) {
			return MW_WIKI_NAME;
		}
		fwrite( STDERR, 'Which wiki? --wiki=' . implode( ', --wiki=', array_keys( $wikis ) ) . "\n" );
		exit( 1 );
	}
	$wiki = array_search( $_SERVER['SERVER_NAME'] ?? '', $wikis, true );
	if ( $wiki === false ) {
		http_response_code( 421 );
		header( 'Content-Type: text/plain' );
		echo "There is no such wiki.\n";
		exit( 1 );
	}
	return $wiki;
} )();

require '/etc/mediawiki/wikis' . "/$siteWiki.php";
