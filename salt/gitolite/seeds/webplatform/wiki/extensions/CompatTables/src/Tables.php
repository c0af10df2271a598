<?php

namespace CompatTables;

use MediaWiki\Html\Html;
use MediaWiki\Http\HttpRequestFactory;
use MediaWiki\Language\Language;
use MediaWiki\Logger\LoggerFactory;
use Wikimedia\ObjectCache\BagOStuff;

/**
 * The tables, made of the data of the site compat, and kept in a keystore.
 *
 * A key names what its table was made of: the feature, the language, the data, and the
 * release of the wiki. So what is found under it is right, and what was made of other
 * data, or by another release, is not found.
 */
class Tables {
	/** Seconds that the data is kept; that it counts as not available after a failure. */
	private const KEEP = 600;
	private const RETRY = 30;
	/** Seconds, and bytes, that the data may take. */
	private const TIMEOUT = 2;
	private const LIMIT = 512 * 1024;

	private BagOStuff $cache;
	private HttpRequestFactory $requests;
	private string $source;
	private ?string $authority;
	private int $expiry;
	/** The data that this request has seen: one answer, and one wait, for all of a page. */
	private ?array $data = null;

	/**
	 * @param BagOStuff $cache The keystore.
	 * @param HttpRequestFactory $requests
	 * @param string $source The address of the data.
	 * @param ?string $authority A file with the authority that signs for it.
	 * @param int $expiry Seconds that a table is kept.
	 */
	public function __construct(
		BagOStuff $cache, HttpRequestFactory $requests, string $source, ?string $authority, int $expiry
	) {
		$this->cache = $cache;
		$this->requests = $requests;
		$this->source = $source;
		$this->authority = $authority;
		$this->expiry = $expiry;
	}

	/** A table as HTML: '' where the data has no such feature, null where there is no data now. */
	public function html( string $feature, Language $language ): ?string {
		$data = $this->data();
		if ( !$data ) {
			return null;
		}
		if ( !isset( $data['features'][$feature] ) ) {
			return '';
		}
		return $this->cache->getWithSetCallback(
			$this->key( $feature, $language, $data ),
			$this->expiry,
			static fn () => self::table( $data['features'][$feature], $data['browsers'], $language )
		);
	}

	/**
	 * The next one who asks has these tables made anew, of data that is fetched anew.
	 *
	 * @param string[] $features
	 * @param Language $language
	 */
	public function forget( array $features, Language $language ): void {
		$data = $features ? $this->data() : [];
		foreach ( $data ? $features : [] as $feature ) {
			$this->cache->delete( $this->key( $feature, $language, $data ) );
		}
		$this->cache->delete( $this->cache->makeKey( 'compat-data' ) );
		$this->data = null;
	}

	private function key( string $feature, Language $language, array $data ): string {
		// <release>/extensions/CompatTables/src
		$release = basename( dirname( __DIR__, 3 ) );
		return $this->cache->makeKey( 'compat-table', $feature, $language->getCode(), $data['version'], $release );
	}

	/** What read() makes of the data, or [] where it is not available. */
	private function data(): array {
		$this->data ??= $this->cache->getWithSetCallback(
			$this->cache->makeKey( 'compat-data' ),
			self::KEEP,
			function ( &$seconds ) {
				$data = $this->fetch();
				$seconds = $data ? self::KEEP : self::RETRY;
				return $data;
			}
		);
		return $this->data;
	}

	private function fetch(): array {
		$request = $this->requests->create( $this->source, [
			'timeout' => self::TIMEOUT,
			'connectTimeout' => self::TIMEOUT / 2,
			'caInfo' => $this->authority,
		], __METHOD__ );
		$status = $request->execute();
		$data = $status->isOK() ? self::read( (string)$request->getContent() ) : [];
		if ( !$data ) {
			LoggerFactory::getInstance( 'error' )->error(
				'CompatTables: no data from {source}: {why}',
				[
					'source' => $this->source,
					'why' => $status->isOK() ? 'its form is wrong' : $status->getMessages()[0]->getKey(),
				]
			);
		}
		return $data;
	}

	/**
	 * The data as it is kept, or [] where its form is not that of data.json. A feature
	 * whose form is wrong is left out.
	 *
	 * @param string $text
	 * @return array `version`; `browsers`: name by key; `features`: `title` and `since`,
	 *  which has a version or null for each browser, by `<group>/<feature>`
	 */
	public static function read( string $text ): array {
		$said = strlen( $text ) <= self::LIMIT ? json_decode( $text, true ) : null;
		$browsers = $said['browsers'] ?? null;
		$groups = $said['groups'] ?? null;
		if ( !is_array( $browsers ) || !self::areTexts( $browsers ) || !is_array( $groups ) ) {
			return [];
		}
		$features = [];
		foreach ( $groups as $group => $content ) {
			if ( !is_array( $content['features'] ?? null ) ) {
				return [];
			}
			foreach ( $content['features'] as $key => $feature ) {
				$name = "$group/$key";
				$title = $feature['title'] ?? null;
				$since = [];
				foreach ( $browsers as $browser => $_ ) {
					$since[$browser] = $feature['since'][$browser] ?? null;
				}
				$texts = [ $title, ...array_values( array_filter( $since, static fn ( $one ) => $one !== null ) ) ];
				if ( preg_match( '~^[a-z0-9-]{1,50}/[a-z0-9-]{1,50}$~D', $name ) && self::areTexts( $texts ) ) {
					$features[$name] = [ 'title' => $title, 'since' => $since ];
				}
			}
		}
		return [
			'version' => substr( hash( 'sha256', $text ), 0, 12 ),
			'browsers' => $browsers,
			'features' => $features,
		];
	}

	private static function areTexts( array $values ): bool {
		return array_filter( $values, 'is_string' ) === $values;
	}

	/**
	 * One table as HTML.
	 *
	 * @param array $feature
	 * @param string[] $browsers
	 * @param Language $language
	 * @return string
	 */
	public static function table( array $feature, array $browsers, Language $language ): string {
		$say = static fn ( $key ) => wfMessage( "compattables-$key" )->inLanguage( $language );
		$head = Html::element( 'th', [ 'scope' => 'col' ], $say( 'browser' )->text() ) .
			Html::element( 'th', [ 'scope' => 'col' ], $say( 'version' )->text() );
		$rows = '';
		foreach ( $browsers as $key => $browser ) {
			$since = $feature['since'][$key] ?? $say( 'none' )->text();
			$rows .= Html::rawElement( 'tr', [],
				Html::element( 'th', [ 'scope' => 'row' ], $browser ) . Html::element( 'td', [], $since )
			);
		}
		return Html::rawElement( 'table', [ 'class' => 'wikitable compat-table' ],
			Html::element( 'caption', [], $say( 'caption' )->plaintextParams( $feature['title'] )->text() ) .
			Html::rawElement( 'thead', [], Html::rawElement( 'tr', [], $head ) ) .
			Html::rawElement( 'tbody', [], $rows )
		);
	}
}
