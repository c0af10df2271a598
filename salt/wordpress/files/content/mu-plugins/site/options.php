<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// Options that the repository decides: whatever the database holds, these are so.

defined( 'ABSPATH' ) || exit;

foreach ( SITE_SETTINGS['options'] as $site_option => $site_value ) {
	// As the database would: WordPress compares some of them by === '1'.
	$site_value = is_int( $site_value ) ? (string) $site_value : $site_value;
	add_filter( "pre_option_$site_option", static fn () => $site_value );
	add_filter( "pre_update_option_$site_option", static fn ( $new, $old ) => $old, 10, 2 );
}
unset( $site_option, $site_value );

// Rules for the paths are kept in the database: made again when what they are made
// from has changed.
add_action(
	'wp_loaded',
	static function () {
		$from = md5( wp_json_encode( [ SITE_SETTINGS['options'], $GLOBALS['wp_version'] ] ) );
		if ( get_option( 'site_rewrite_for' ) !== $from && ! wp_installing() ) {
			flush_rewrite_rules( false );
			update_option( 'site_rewrite_for', $from );
		}
	}
);
