<?php
// What all wikis of the site have in common, after the settings of the level.

if ( !defined( 'MEDIAWIKI' ) ) {
	exit;
}

// Another release, another address: browsers keep a picture for a day.
$wgLogos = [ '1x' => '/site/logo.svg?' . basename( __DIR__ ) ];
$wgLogos['icon'] = $wgLogos['1x'];
$wgFavicon = '/site/favicon.svg?' . basename( __DIR__ );

wfLoadExtension( 'SiteStatus', __DIR__ . '/extensions/SiteStatus/extension.json' );

wfLoadExtension( 'CompatTables', __DIR__ . '/extensions/CompatTables/extension.json' );
$wgCompatTablesSource = "https://compat.$siteDomain/data.json";
$wgCompatTablesAuthority = $siteAuthority;
