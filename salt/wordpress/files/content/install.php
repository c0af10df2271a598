<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// What WordPress does while it is installed, without what does not fit here: its
// sample content takes numbers for granted that a Galera cluster does not give, and it
// mails the password.

function wp_install_defaults( $user_id ) {
	global $wpdb;
	$wpdb->insert( $wpdb->terms, [ 'term_id' => 1, 'name' => 'News', 'slug' => 'news', 'term_group' => 0 ] );
	$wpdb->insert(
		$wpdb->term_taxonomy,
		[ 'term_id' => 1, 'taxonomy' => 'category', 'description' => '', 'parent' => 0, 'count' => 0 ]
	);
	update_option( 'default_category', 1 );
	update_user_meta( $user_id, 'show_welcome_panel', 0 );
}

function wp_new_blog_notification( $blog_title, $blog_url, $user_id, $password ) {
}
