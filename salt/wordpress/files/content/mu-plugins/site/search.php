<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// The blog's search: the site's OpenSearch, and while that is away WordPress's own.
// What changes is told to the search server when the one who changed it has got the
// answer; what the server does not take waits in the options table, one row for each
// post, and is told again by WordPress's cron.

defined( 'ABSPATH' ) || exit;

class Site_Search {

	const WAITS = 'site_search_waits_';

	/** Posts that this request changed. */
	private static $changed = [];

	/** Whether the database answered a search because the server is away. */
	private static $away = false;

	public static function watch() {
		if ( empty( SITE_SETTINGS['search'] ) ) {
			return;
		}
		add_action( 'transition_post_status', [ self::class, 'status' ], 10, 3 );
		add_action( 'post_updated', [ self::class, 'changed' ] );
		add_action( 'deleted_post', [ self::class, 'changed' ] );
		add_action( 'wp_insert_comment', [ self::class, 'comment' ] );
		add_action( 'edit_comment', [ self::class, 'comment' ] );
		add_action( 'delete_comment', [ self::class, 'comment' ] );
		add_action( 'wp_set_comment_status', [ self::class, 'comment' ] );
		// After all others: they may do something that the reader waits for.
		add_action( 'shutdown', [ self::class, 'send' ], 1000 );

		add_filter( 'cron_schedules', [ self::class, 'schedules' ] );
		add_action( 'site_search_catch_up', [ self::class, 'catch_up' ] );
		add_action( 'init', [ self::class, 'schedule' ] );

		add_filter( 'posts_pre_query', [ self::class, 'search' ], 10, 2 );
		add_filter( 'render_block_core/query-title', [ self::class, 'notice' ] );
	}

	// -- what changed -------------------------------------------------------------

	public static function status( $new, $old, $post ) {
		if ( 'publish' === $new || 'publish' === $old ) {
			self::changed( $post->ID );
		}
	}

	public static function comment( $id ) {
		$comment = get_comment( $id );
		if ( $comment ) {
			self::changed( (int) $comment->comment_post_ID );
		}
	}

	public static function changed( $id ) {
		$id = (int) $id;
		if ( isset( self::$changed[ $id ] ) || wp_is_post_revision( $id ) ) {
			return;
		}
		self::$changed[ $id ] = true;
		// At once, so that nothing is forgotten if this request ends badly. A new value
		// each time: who told an older state must not take the row away.
		update_option( self::WAITS . $id, wp_generate_uuid4(), false );
	}

	public static function send() {
		if ( ! self::$changed ) {
			return;
		}
		if ( function_exists( 'fastcgi_finish_request' ) ) {
			fastcgi_finish_request();
		}
		self::tell( array_keys( self::$changed ) );
		self::$changed = [];
	}

	public static function schedules( $schedules ) {
		$schedules['site_search'] = [ 'interval' => 30, 'display' => 'Search' ];
		return $schedules;
	}

	public static function schedule() {
		if ( ! wp_installing() && ! wp_next_scheduled( 'site_search_catch_up' ) ) {
			wp_schedule_event( time(), 'site_search', 'site_search_catch_up' );
		}
	}

	public static function catch_up() {
		global $wpdb;
		// A server that is new, or that lost all, has to be told of every post.
		try {
			if ( 0 === self::client()->count( SITE_SETTINGS['search']['index'] ) ) {
				$types = "'" . implode( "','", array_map( 'esc_sql', self::types() ) ) . "'";
				self::tell( $wpdb->get_col( "SELECT ID FROM $wpdb->posts WHERE post_status = 'publish' AND post_type IN ($types)" ) );
			}
		} catch ( \SiteSearch\Unavailable $error ) {
			return;
		}
		$from = 0;
		do {
			$rows = $wpdb->get_col( $wpdb->prepare(
				"SELECT option_name FROM $wpdb->options WHERE option_name LIKE %s AND option_id > %d ORDER BY option_id LIMIT 100",
				$wpdb->esc_like( self::WAITS ) . '%', $from
			) );
			$ids = array_map( static fn ( $name ) => (int) substr( $name, strlen( self::WAITS ) ), $rows );
		} while ( $ids && self::tell( $ids ) && count( $ids ) === 100 );
	}

	/** Tell the server how these posts are now. Returns false if it is away. */
	private static function tell( array $ids ) {
		global $wpdb;
		$client = self::client();
		foreach ( array_map( 'intval', $ids ) as $id ) {
			$row = $wpdb->get_var( $wpdb->prepare( "SELECT option_value FROM $wpdb->options WHERE option_name = %s", self::WAITS . $id ) );
			try {
				// The time before the look at the post: of two looks the later one wins.
				$version  = self::version();
				$document = self::document( $id );
				if ( $document ) {
					$client->put( SITE_SETTINGS['search']['index'], (string) $id, $document, $version );
				} else {
					$client->remove( SITE_SETTINGS['search']['index'], (string) $id, $version );
				}
			} catch ( \SiteSearch\Unavailable $error ) {
				error_log( 'search: ' . $error->getMessage() );
				return false;
			} catch ( \SiteSearch\Refused $error ) {
				error_log( "search: post $id: " . $error->getMessage() );
			}
			if ( null !== $row ) {
				$wpdb->query( $wpdb->prepare( "DELETE FROM $wpdb->options WHERE option_name = %s AND option_value = %s", self::WAITS . $id, $row ) );
				wp_cache_delete( self::WAITS . $id, 'options' );
			}
		}
		return true;
	}

	public static function version() {
		return (int) ( microtime( true ) * 1000 );
	}

	public static function client() {
		require_once SITE_SETTINGS['search']['library'];
		return new \SiteSearch\OpenSearch( SITE_SETTINGS['search'] );
	}

	/** What may be found: null for what is not public. */
	public static function document( $id ) {
		clean_post_cache( $id );
		$post = get_post( $id );
		if ( ! $post || 'publish' !== $post->post_status || '' !== $post->post_password
			|| ! in_array( $post->post_type, self::types(), true ) ) {
			return null;
		}
		$text = [ str_replace( '<', ' <', strip_shortcodes( $post->post_content ) ) ];
		foreach ( get_comments( [ 'post_id' => $id, 'status' => 'approve', 'type' => 'comment', 'orderby' => 'comment_ID', 'order' => 'ASC', 'number' => 1000 ] ) as $comment ) {
			$text[] = $comment->comment_content;
		}
		return [
			'id'      => (string) $id,
			'site'    => 'blog',
			'title'   => html_entity_decode( wp_strip_all_tags( get_the_title( $post ) ), ENT_QUOTES | ENT_HTML5, 'UTF-8' ),
			'url'     => get_permalink( $post ),
			'text'    => html_entity_decode( wp_strip_all_tags( implode( "\n", $text ), true ), ENT_QUOTES | ENT_HTML5, 'UTF-8' ),
			'updated' => gmdate( 'Y-m-d\TH:i:s\Z', strtotime( $post->post_modified_gmt . ' UTC' ) ),
		];
	}

	public static function types() {
		return array_values( array_diff( get_post_types( [ 'public' => true, 'exclude_from_search' => false ] ), [ 'attachment' ] ) );
	}

	// -- searching ----------------------------------------------------------------

	/** The posts of a search by a reader, instead of a query of the database. */
	public static function search( $posts, $query ) {
		if ( null !== $posts || is_admin() || ! $query->is_main_query() || ! $query->is_search() || $query->is_feed() ) {
			return $posts;
		}
		$words = trim( (string) $query->get( 's' ) );
		$size  = max( 1, (int) ( $query->get( 'posts_per_page' ) ?: get_option( 'posts_per_page' ) ) );
		$page  = max( 1, (int) $query->get( 'paged' ) );
		if ( '' === $words ) {
			return $posts;
		}
		try {
			$found = self::client()->search( [ SITE_SETTINGS['search']['index'] ], wp_unslash( $words ), ( $page - 1 ) * $size, $size );
		} catch ( \SiteSearch\Unavailable | \SiteSearch\Refused $error ) {
			error_log( 'search: ' . $error->getMessage() );
			self::$away = true;
			// After cache.php, which would let the edge keep this answer.
			add_action( 'send_headers', 'nocache_headers', 20 );
			return $posts;
		}
		$query->found_posts   = $found['total'];
		$query->max_num_pages = (int) ceil( min( $found['total'], \SiteSearch\OpenSearch::LAST_RESULT ) / $size );
		$ids = array_map( static fn ( $hit ) => (int) $hit['id'], $found['hits'] );
		_prime_post_caches( $ids, true, true );
		// What was taken back a moment ago is not shown, whatever the server says.
		return array_values( array_filter( array_map( 'get_post', $ids ), static fn ( $post ) => $post && 'publish' === $post->post_status ) );
	}

	public static function notice( $html ) {
		// The title of another kind of page, which renders as nothing here, has no notice.
		return '' !== $html && self::$away && is_search()
			? $html . '<p class="site-search-away" role="status">The site\'s search is not available just now. These results come from the blog\'s own database: they may be fewer, and in another order.</p>'
			: $html;
	}
}

Site_Search::watch();
