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

# Of the level, for what its authors make: where its other sites are, and who signs for
# them.
$siteDomain = 'webplatform.test';
$siteAuthority = '/etc/ssl/site/ca.crt';

# What its authors made, as it is at this moment: the whole request is of one release.
# A script may be told of one that is not served yet.
$siteRelease = ( PHP_SAPI === 'cli' ? getenv( 'SITE_WIKI_RELEASE' ) : false ) ?: ( static function () {
	# Not realpath(): PHP remembers its answers.
	$current = readlink( '/srv/release/wiki/current' );
	if ( $current === false ) {
		http_response_code( 503 );
		echo "There is no release of the wiki on this host.\n";
		exit( 1 );
	}
	return '/srv/release/wiki/' . $current;
} )();
if ( PHP_SAPI !== 'cli' ) {
	header( 'X-Release: ' . basename( MW_INSTALL_PATH ) . ' ' . basename( $siteRelease ) );
}

require '/etc/mediawiki/wikis' . "/$siteWiki.php";
require "$siteRelease/settings.php";
