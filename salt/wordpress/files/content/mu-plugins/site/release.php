<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// Themes are those of the release that this request is of; so is what its page loads.

defined( 'ABSPATH' ) || exit;

add_filter( 'theme_root', static fn () => SITE_RELEASE . '/themes' );
add_filter( 'theme_root_uri', static fn () => WP_CONTENT_URL . '/releases/' . basename( SITE_RELEASE ) . '/themes' );

// Tables that a newer release has upgraded serve an older one, too; the page for an upgrade
// by browser, to which WordPress would lead, does not exist here.
if ( ! wp_installing() ) {
	add_filter( 'pre_option_db_version', static fn () => (string) $GLOBALS['wp_db_version'] );
}
