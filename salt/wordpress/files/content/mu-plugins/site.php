<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
/*
 * Plugin Name: Site
 * Description: What this site does otherwise than WordPress by itself.
 */

defined( 'ABSPATH' ) || exit;

foreach ( [ 'release', 'options', 'quiet', 'doors', 'mail', 'sso', 'cache', 'purge', 'search' ] as $site_part ) {
	require __DIR__ . "/site/$site_part.php";
}
unset( $site_part );
