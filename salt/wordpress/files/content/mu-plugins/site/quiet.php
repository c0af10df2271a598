<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// Neither the host nor a reader's browser asks anybody outside for anything.

defined( 'ABSPATH' ) || exit;

// Updates come with packages.
foreach ( [ 'core', 'plugins', 'themes' ] as $site_kind ) {
	add_filter( "pre_site_transient_update_$site_kind", static fn () => (object) [ 'last_checked' => time(), 'updates' => [], 'response' => [], 'translations' => [] ] );
}
unset( $site_kind );
add_filter(
	'pre_schedule_event',
	static function ( $done, $event ) {
		$asks_outside = [ 'wp_version_check', 'wp_update_plugins', 'wp_update_themes', 'wp_site_health_scheduled_check', 'wp_https_detection' ];
		return in_array( $event->hook, $asks_outside, true ) ? false : $done;
	},
	10,
	2
);
remove_action( 'init', 'wp_schedule_update_checks' );
remove_action( 'admin_init', '_maybe_update_core' );
remove_action( 'admin_init', '_maybe_update_plugins' );
remove_action( 'admin_init', '_maybe_update_themes' );
add_action(
	'wp_dashboard_setup',
	static function () {
		remove_meta_box( 'dashboard_primary', 'dashboard', 'side' );
		remove_meta_box( 'dashboard_site_health', 'dashboard', 'normal' );
	}
);

// Pictures for emoji come from the vendor's servers.
add_filter( 'emoji_svg_url', '__return_false' );
remove_action( 'wp_head', 'print_emoji_detection_script', 7 );
remove_action( 'admin_print_scripts', 'print_emoji_detection_script' );
remove_action( 'wp_print_styles', 'print_emoji_styles' );
add_filter( 'should_load_remote_block_patterns', '__return_false' );

// Versions are nobody's business.
remove_action( 'wp_head', 'wp_generator' );
add_filter( 'the_generator', '__return_empty_string' );
