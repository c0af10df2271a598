<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// How long the edge may keep a page. Browsers ask each time; what is changed is
// purged from the edge, not from them. Answers to searches nobody can purge: those
// are kept for a moment only.

defined( 'ABSPATH' ) || exit;

add_filter( 'rest_send_nocache_headers', '__return_true' );
add_action(
	'send_headers',
	static function () {
		if ( is_user_logged_in() || ! in_array( $_SERVER['REQUEST_METHOD'] ?? '', [ 'GET', 'HEAD' ], true ) ) {
			nocache_headers();
		} elseif ( ! headers_sent() ) {
			$seconds = is_search() ? min( 5, SITE_SETTINGS['page_ttl'] ) : SITE_SETTINGS['page_ttl'];
			header( sprintf( 'Cache-Control: public, max-age=0, s-maxage=%d, must-revalidate', $seconds ) );
		}
	}
);
