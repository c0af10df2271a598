<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
// The wp-config.php of each release reads this file.

// What and where
define( 'WP_HOME', 'https://blog.webplatform.test' );
define( 'WP_SITEURL', 'https://blog.webplatform.test' );
define( 'WP_CONTENT_DIR', '/usr/local/share/wordpress-site' );
define( 'WP_CONTENT_URL', 'https://blog.webplatform.test/wp-content' );
// Themes and plugins, as they are at this moment: the whole request is of one release.
// Not realpath(): PHP remembers its answers.
$site_release = readlink( '/srv/release/blog/current' );
if ( false === $site_release ) {
	http_response_code( 503 );
	echo "There is no release of the blog on this host.\n";
	exit( 1 );
}
define( 'SITE_RELEASE', '/srv/release/blog/' . $site_release );
unset( $site_release );
define( 'WP_PLUGIN_DIR', SITE_RELEASE . '/plugins' );
define( 'WP_PLUGIN_URL', 'https://blog.webplatform.test/wp-content/releases/' . basename( SITE_RELEASE ) . '/plugins' );
if ( PHP_SAPI !== 'cli' ) {
	header( 'X-Release: ' . basename( ABSPATH ) . ' ' . basename( SITE_RELEASE ) );
}
define( 'FORCE_SSL_ADMIN', true );
define( 'WP_ALLOW_MULTISITE', false );

// Only the edge speaks to this host, and nginx says by itself what was https there:
// what a request claims in a header counts nothing.
unset( $_SERVER['HTTP_X_FORWARDED_PROTO'] );

// Database: the broker on this host knows which node may take writes.
define( 'DB_HOST', '127.0.0.1:3306' );
define( 'DB_NAME', 'blog' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
if ( PHP_SAPI === 'cli' && is_readable( '/etc/wordpress/secrets/database_admin' ) ) {
	// Maintenance by root: may change tables.
	define( 'DB_USER', 'blog_admin' );
	define( 'DB_PASSWORD', trim( file_get_contents( '/etc/wordpress/secrets/database_admin' ) ) );
} else {
	define( 'DB_USER', 'blog' );
	define( 'DB_PASSWORD', '<secret mariadb-blog>' );
}
$table_prefix = 'wp_';

// One secret; WordPress wants eight.
foreach ( [ 'AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE' ] as $site_key ) {
	define( $site_key . '_KEY', hash_hmac( 'sha256', $site_key . '_KEY', '<secret wordpress-keys>' ) );
	define( $site_key . '_SALT', hash_hmac( 'sha256', $site_key . '_SALT', '<secret wordpress-keys>' ) );
}
unset( $site_key );

// The code comes with packages and with this site's repository, never from a browser.
define( 'DISALLOW_FILE_EDIT', true );
define( 'DISALLOW_FILE_MODS', true );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'DISABLE_WP_CRON', true );

// Faults go to the log of php-fpm, not to readers and not into mail.
define( 'WP_DEBUG', false );
define( 'WP_DISABLE_FATAL_ERROR_HANDLER', true );

// For the site's own code in /usr/local/share/wordpress-site.
define( 'SITE_SETTINGS', [ 'database' => [ 'ca' => '/etc/ssl/site/ca.crt', 'connect_timeout' => 3 ], 'cache' => [ 'connect_timeout' => 0.5, 'max_age' => 3600, 'server' => '127.0.0.1:11255', 'timeout' => 0.5 ], 'options' => [ 'blogname' => 'Web Platform Blog', 'blogdescription' => 'News from Web Platform', 'timezone_string' => 'UTC', 'admin_email' => 'blog@webplatform.test', 'permalink_structure' => '/%year%/%monthnum%/%postname%/', 'blog_public' => 0, 'template' => 'saltworks', 'stylesheet' => 'saltworks', 'active_plugins' => [], 'upload_path' => '/srv/wordpress/uploads', 'upload_url_path' => 'https://blog.webplatform.test/wp-content/uploads', 'users_can_register' => 0, 'comment_registration' => 1, 'comment_moderation' => 0, 'comment_previously_approved' => 1, 'comment_max_links' => 2, 'close_comments_for_old_posts' => 1, 'close_comments_days_old' => 90, 'default_pingback_flag' => 0, 'default_ping_status' => 'closed', 'ping_sites' => '', 'show_avatars' => 0 ], 'sender' => 'blog@webplatform.test', 'page_ttl' => 300, 'search' => [ 'ca' => '/etc/ssl/site/ca.crt', 'connect_timeout' => 0.5, 'index' => 'blog', 'peers' => 'elastic', 'timeout' => 3, 'url' => 'https://127.0.0.1:9200', 'user' => 'blog', 'write_timeout' => 5, 'password' => '<secret opensearch-blog>', 'library' => '/usr/local/share/site-search/OpenSearch.php' ], 'sso' => [ 'account' => 'BlogAdmin', 'break_glass' => true, 'groups' => [ 'blog-admins' => 'administrator', 'blog-editors' => 'editor', 'operators' => 'administrator' ], 'accounts' => 'https://accounts.webplatform.test', 'library' => '/usr/local/lib/saltworks/sso/Identity.php' ], 'purge' => [ 'host' => 'blog.webplatform.test', 'caches' => [ '<frontend1>:6081', '<frontend2>:6081' ], 'timeout' => 0.4 ] ] );
