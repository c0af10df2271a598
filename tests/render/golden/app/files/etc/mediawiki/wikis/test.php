<?php
# Managed by Saltworks: mediawiki. Local changes are overwritten.

if ( !defined( 'MEDIAWIKI' ) ) {
	exit;
}

# What and where
$wgSitename = 'Web Platform Test Wiki';
$wgServer = 'https://test.webplatform.test';
$wgCanonicalServer = 'https://test.webplatform.test';
$wgScriptPath = '/w';
$wgArticlePath = '/wiki/$1';
$wgUsePathInfo = true;
$wgLanguageCode = 'en';
$wgLocaltimezone = 'UTC';
$wgSecretKey = '<secret mediawiki-testwiki-secret-key>';
$wgUpgradeKey = '<secret mediawiki-testwiki-upgrade-key>';
$wgAuthenticationTokenVersion = '1';
# What was computed with other settings is old; MediaWiki looks at LocalSettings.php
# alone, which stays as it is.
$wgCacheEpoch = max(
	$wgCacheEpoch,
	gmdate( 'YmdHis', filemtime( __FILE__ ) ),
	# What an extension made of a page is as old as its release.
	gmdate( 'YmdHis', lstat( '/srv/release/wiki/current' )['mtime'] ?? 0 )
);

# Database: the broker on this host knows which node may take writes. TLS is
# required, and the server's certificate is verified for this very address.
$wgDBtype = 'mysql';
$wgDBserver = '127.0.0.1:3306';
$wgDBname = 'testwiki';
$wgDBuser = 'testwiki';
$wgDBpassword = '<secret mariadb-testwiki>';
$wgDBTableOptions = 'ENGINE=InnoDB, DEFAULT CHARSET=binary';
if ( PHP_SAPI === 'cli' && is_readable( '/etc/mediawiki/secrets/test.database_admin' ) ) {
	# Maintenance by root: may change tables, and leaves no files behind that the
	# wiki's own user could not replace. Not $wgDBadminuser: where $wgDBservers is
	# set, MediaWiki 1.43 adds a second server for it and stops ("Duplicate server").
	$wgDBuser = 'testwiki_admin';
	$wgDBpassword = trim( file_get_contents( '/etc/mediawiki/secrets/test.database_admin' ) );
	$wgCacheDirectory = false;
	$wgLocalisationCacheConf['store'] = 'db';
} else {
	$wgCacheDirectory = '/var/cache/mediawiki-testwiki';
	$wgLocalisationCacheConf['store'] = 'array';
	$wgDebugLogGroups['exception'] = [ 'destination' => '/var/log/mediawiki-testwiki/exception.log', 'level' => 'error' ];
	$wgDebugLogGroups['error'] = [ 'destination' => '/var/log/mediawiki-testwiki/error.log', 'level' => 'error' ];
	$wgDebugLogGroups['fatal'] = [ 'destination' => '/var/log/mediawiki-testwiki/fatal.log', 'level' => 'error' ];
	$wgDebugLogGroups['session'] = [ 'destination' => '/var/log/mediawiki-testwiki/session.log', 'level' => 'error' ];
	$wgDebugLogGroups['redis'] = [ 'destination' => '/var/log/mediawiki-testwiki/redis.log', 'level' => 'error' ];
	$wgDebugLogGroups['memcached'] = [ 'destination' => '/var/log/mediawiki-testwiki/memcached.log', 'level' => 'error' ];
}
$wgDBservers = [ [
	'type' => $wgDBtype,
	'host' => $wgDBserver,
	'dbname' => $wgDBname,
	'user' => $wgDBuser,
	'password' => $wgDBpassword,
	'load' => 1,
	'flags' => DBO_DEFAULT,
	'ssl' => true,
	'sslCAFile' => '/etc/ssl/site/ca.crt',
	'connectTimeout' => 3,
	# MariaDB from 11.6 on ends a transaction with error 1020 that locks a row which
	# changed after its first read. MediaWiki looks at the row itself, and does not know
	# this error: edits were lost.
	'variables' => [ 'innodb_snapshot_isolation' => 0 ],
] ];

# Sessions: redis protocol. Their loss logs people out, so they share nothing with
# the caches, which may be flushed at any time.
$wgObjectCaches['site-sessions'] = [
	'class' => RedisBagOStuff::class,
	'servers' => [ '127.0.0.1:6379' ],
	'password' => '<secret redis-sessions>',
	'connectTimeout' => 0.5,
	'persistent' => false,
	'automaticFailover' => false,
];
$wgSessionCacheType = 'site-sessions';
$wgObjectCacheSessionExpiry = 86400;

# Every key in them begins with the database's name, so no wiki reads another's.
$wgCachePrefix = $wgDBname;

# Caches: memcached protocol. APCu holds only what each host may compute for itself.
$wgObjectCaches['site-cache'] = [
	'class' => MemcachedPeclBagOStuff::class,
	'servers' => [ '127.0.0.1:11255' ],
	'persistent' => false,
	'connect_timeout' => 0.5,
	'timeout' => 500000,
	'allow_tcp_nagle_delay' => false,
	'loggroup' => 'memcached',
];
$wgMainCacheType = 'site-cache';
$wgParserCacheType = 'site-cache';
$wgMessageCacheType = 'site-cache';

# Jobs wait in the database for mediawiki-jobs-test.service.
$wgJobRunRate = 0;

# The web server in front speaks TLS for us, and tells the client's address
# by itself: no proxy list here.
$wgCookieSecure = true;

# Caches at the edge. They keep what people see who are not logged in, until it is
# taken out here by a request in clear text to each of them.
$wgUseCdn = true;
$wgCdnServers = [ '<frontend1>:6081', '<frontend2>:6081' ];
$wgCdnMaxAge = 18000;
$wgInternalServer = 'http://test.webplatform.test';
# The same page by the REST API.
$wgHooks['HtmlCacheUpdaterAppendUrls'][] = static function ( $title, $mode, &$append ) {
	$page = 'http://test.webplatform.test' . '/w/rest.php/v1/page/' . rawurlencode( $title->getPrefixedDBkey() );
	foreach ( [ '', '/bare', '/html', '/with_html', '/history', '/links/language' ] as $part ) {
		$append[] = $page . $part;
	}
};

# Who may do what
$wgGroupPermissions['*']['edit'] = false;
$wgGroupPermissions['*']['createaccount'] = false;
$wgEnableBotPasswords = false;

# Uploads
$wgEnableUploads = false;
$wgFileExtensions = array_merge( $wgFileExtensions, [ 'svg', 'djvu' ] );
$wgUseImageMagick = true;
$wgImageMagickConvertCommand = '/usr/bin/convert';
$wgSVGConverter = 'rsvg';
$wgSVGConverterPath = '/usr/bin';
$wgDjvuDump = '/usr/bin/djvudump';
$wgDjvuRenderer = '/usr/bin/ddjvu';
$wgDjvuTxt = '/usr/bin/djvutxt';
$wgDjvuPostProcessor = '/usr/bin/convert ppm:- jpeg:-';
$wgMaxShellMemory = 524288;
$wgMaxShellFileSize = 102400;
$wgMaxShellTime = 60;

# Mail
$wgEnableEmail = false;
$wgEnableUserEmail = false;
$wgEmailAuthentication = false;

# Not for search engines.
$wgDefaultRobotPolicy = 'noindex,nofollow';

# Faults, not debugging
$wgShowExceptionDetails = false;

# Skins and extensions
wfLoadSkin( 'Vector' );
$wgDefaultSkin = 'vector-2022';
wfLoadExtension( 'AbuseFilter' );
wfLoadExtension( 'CategoryTree' );
wfLoadExtension( 'Cite' );
wfLoadExtension( 'CodeEditor' );
wfLoadExtension( 'Echo' );
wfLoadExtension( 'Gadgets' );
wfLoadExtension( 'InputBox' );
wfLoadExtension( 'Nuke' );
wfLoadExtension( 'OATHAuth' );
wfLoadExtension( 'ParserFunctions' );
wfLoadExtension( 'Scribunto' );
wfLoadExtension( 'SyntaxHighlight_GeSHi' );
wfLoadExtension( 'TemplateData' );
wfLoadExtension( 'TitleBlacklist' );
wfLoadExtension( 'VisualEditor' );
wfLoadExtension( 'WikiEditor' );

# One login: the gate says who it is. Only the break-glass account has a password.
require_once '/usr/local/lib/saltworks/sso/Identity.php';
wfLoadExtension( 'SiteSso', '/usr/local/share/mediawiki-extensions/SiteSso/extension.json' );
$wgSiteSsoAccounts = 'https://accounts.webplatform.test';
$wgSiteSsoBreakGlass = 'WikiAdmin';
$wgSiteSsoGroups = [ 'operators' => [ 'bureaucrat', 'interface-admin' ], 'wiki-admins' => [ 'sysop' ] ];
$wgAuthManagerAutoConfig['primaryauth'] = [];
$wgGroupPermissions['*']['autocreateaccount'] = true;
$wgPasswordResetRoutes = [];
$wgPygmentizePath = '/usr/bin/pygmentize';
$wgDiff3 = '/usr/bin/diff3';
