<?php
// Managed by Saltworks: site-search. Local changes are overwritten.

namespace SiteSearch;

/** The search server does not answer, or not now: worth another try later. */
final class Unavailable extends \RuntimeException {
}

/** The search server understood and refused: another try would change nothing. */
final class Refused extends \RuntimeException {
}

/**
 * The few words of OpenSearch's REST API that this site speaks. The wiki, the blog
 * and the search page all use this one file.
 *
 * What people type is only ever a JSON string in a query that has a fixed shape; it
 * cannot add a clause, name an index or a field.
 */
final class OpenSearch {
	// Round what was found, in text that is not HTML yet. Private characters of
	// Unicode: whoever writes them in a page makes a word bold, and no more.
	private const MARK = "\u{E000}";
	private const UNMARK = "\u{E001}";

	public const LONGEST_QUERY = 300;
	// OpenSearch's own limit of `from` + `size`.
	public const LAST_RESULT = 10000;

	/**
	 * @param array $server url, user, password, ca, connect_timeout and timeout
	 *   (seconds, may be fractions), write_timeout
	 */
	public function __construct( private array $server ) {
	}

	/**
	 * Write one document, or do nothing if a newer state of it was written before.
	 * @param int $version grows with the time at which the state was read
	 */
	public function put( string $index, string $id, array $document, int $version ): void {
		$this->write( 'PUT', $index, $id, $document, $version );
	}

	/** Remove one document, or do nothing if it is gone or a newer state was written. */
	public function remove( string $index, string $id, int $version ): void {
		$this->write( 'DELETE', $index, $id, null, $version );
	}

	private function write( string $method, string $index, string $id, ?array $document, int $version ): void {
		// Only through the alias: a name that is not there yet must not become an
		// index of guessed types.
		$path = rawurlencode( $index ) . '/_doc/' . rawurlencode( $id ) .
			'?version_type=external_gte&version=' . $version .
			( $method === 'PUT' ? '&require_alias=true' : '' );
		[ $status, $answer ] = $this->send( $method, $path, $document === null ? '' : self::json( $document ),
			$this->server['write_timeout'] );
		$known = $status < 300 || $status === 409;
		if ( $method === 'DELETE' && ( $answer['result'] ?? '' ) === 'not_found' ) {
			$known = true;
		}
		if ( $status === 404 && !$known ) {
			throw new Unavailable( "there is no alias $index" );
		}
		if ( !$known ) {
			throw new Refused( self::reason( $status, $answer ) );
		}
	}

	/**
	 * Write and remove many documents.
	 * @param array $changes list of [ id, document or null, version ]
	 */
	public function bulk( string $index, array $changes ): void {
		if ( !$changes ) {
			return;
		}
		$lines = '';
		foreach ( $changes as [ $id, $document, $version ] ) {
			$head = [ '_id' => $id, 'version' => $version, 'version_type' => 'external_gte' ];
			$lines .= $document === null
				? self::json( [ 'delete' => $head ] ) . "\n"
				: self::json( [ 'index' => $head ] ) . "\n" . self::json( $document ) . "\n";
		}
		[ $status, $answer ] = $this->send( 'POST', rawurlencode( $index ) . '/_bulk', $lines, 60 );
		if ( $status >= 300 ) {
			throw new Refused( self::reason( $status, $answer ) );
		}
		foreach ( $answer['items'] ?? [] as $item ) {
			$done = reset( $item );
			if ( $done['status'] >= 300 && !in_array( $done['status'], [ 404, 409 ] ) ) {
				throw $done['status'] === 429 || $done['status'] >= 500
					? new Unavailable( "{$done['_id']}: " . self::reason( $done['status'], $done ) )
					: new Refused( "{$done['_id']}: " . self::reason( $done['status'], $done ) );
			}
			// A document that should have been written has nowhere to go.
			if ( $done['status'] === 404 && isset( $done['error'] ) ) {
				throw new Unavailable( self::reason( 404, $done ) );
			}
		}
	}

	/** How many documents there are. */
	public function count( string $index ): int {
		[ $status, $answer ] = $this->send( 'GET', rawurlencode( $index ) . '/_count', '', $this->server['timeout'] );
		if ( $status >= 300 || ( $answer['_shards']['failed'] ?? 1 ) ) {
			throw new Unavailable( self::reason( $status, $answer ) );
		}
		return $answer['count'];
	}

	/** Make what was written visible to searches now. */
	public function refresh( string $index ): void {
		[ $status, $answer ] = $this->send( 'POST', rawurlencode( $index ) . '/_refresh', '', 60 );
		if ( $status >= 300 ) {
			throw new Refused( self::reason( $status, $answer ) );
		}
	}

	/**
	 * Pages with all these words. "a phrase", -without, begin* are understood; any
	 * other sign is a sign.
	 * @param string[] $indices
	 * @param array $filter terms by field, such as [ 'namespace' => [ 0, 4 ] ]
	 * @return array total, more (there are more than total), and hits: each with id,
	 *   source, title and text as HTML in which what was found is within <mark>
	 */
	public function search( array $indices, string $words, int $from, int $size, array $filter = [] ): array {
		return $this->ask( $indices, [
			'simple_query_string' => [
				'query' => self::shortened( $words ),
				'fields' => [ 'title^4', 'redirects^3', 'text' ],
				'default_operator' => 'and',
				'flags' => 'AND|NOT|PHRASE|PREFIX|WHITESPACE',
				'lenient' => true,
			],
		], $from, $size, $filter, true );
	}

	/** Pages whose title has words that begin like these, the best first. */
	public function suggest( array $indices, string $words, int $from, int $size, array $filter = [] ): array {
		$words = self::shortened( $words );
		return $this->ask( $indices, [
			'bool' => [
				'must' => [ [ 'match' => [ 'title.prefix' => [ 'query' => $words, 'operator' => 'and' ] ] ] ],
				'should' => [ [ 'match_phrase_prefix' => [ 'title' => [ 'query' => $words, 'boost' => 4 ] ] ] ],
			],
		], $from, $size, $filter, false );
	}

	private function ask(
		array $indices, array $query, int $from, int $size, array $filter, bool $snippets
	): array {
		$terms = [];
		foreach ( $filter as $field => $values ) {
			$terms[] = [ 'terms' => [ $field => array_values( $values ) ] ];
		}
		$from = max( 0, $from );
		$size = max( 0, min( $size, self::LAST_RESULT - $from ) );
		if ( $from >= self::LAST_RESULT ) {
			[ $from, $size ] = [ 0, 0 ];
		}
		$body = [
			'from' => $from,
			'size' => $size,
			'timeout' => '2s',
			'track_total_hits' => self::LAST_RESULT,
			'_source' => [ 'excludes' => [ 'text' ] ],
			'query' => [ 'bool' => [ 'must' => [ $query ], 'filter' => $terms ] ],
		];
		if ( $snippets ) {
			$body['highlight'] = [
				'pre_tags' => [ self::MARK ],
				'post_tags' => [ self::UNMARK ],
				// Very long pages: what lies behind is found, but not shown.
				'max_analyzer_offset' => 500000,
				'fields' => [
					'title' => [ 'number_of_fragments' => 0 ],
					'text' => [ 'number_of_fragments' => 2, 'fragment_size' => 160, 'no_match_size' => 160 ],
				],
			];
		}
		// An app that has written nothing yet must not make the others unfindable.
		$path = implode( ',', array_map( 'rawurlencode', $indices ) ) . '/_search?ignore_unavailable=true';
		[ $status, $answer ] = $this->send( 'POST', $path, self::json( $body ), $this->server['timeout'] );
		if ( $status === 404 ) {
			throw new Unavailable( self::reason( $status, $answer ) );
		}
		if ( $status >= 300 || !isset( $answer['hits']['hits'] ) ) {
			throw new Refused( self::reason( $status, $answer ) );
		}
		$shards = $answer['_shards'] ?? [];
		if ( !( $shards['total'] ?? 0 ) || ( ( $shards['failed'] ?? 0 ) && !$answer['hits']['hits'] ) ) {
			// No index at all, or shards without a node: an empty answer would be a lie.
			throw new Unavailable( 'no index, or a part of it, answers' );
		}
		$hits = [];
		foreach ( $answer['hits']['hits'] as $hit ) {
			$found = $hit['highlight'] ?? [];
			$hits[] = [
				'id' => $hit['_id'],
				'source' => $hit['_source'],
				'title' => self::html( $found['title'][0] ?? ( $hit['_source']['title'] ?? '' ) ),
				'text' => implode( ' … ', array_map( [ self::class, 'html' ], $found['text'] ?? [] ) ),
			];
		}
		return [
			'total' => $answer['hits']['total']['value'],
			'more' => $answer['hits']['total']['relation'] !== 'eq',
			'hits' => $hits,
		];
	}

	/** Text of a page as HTML: everything is escaped first, then the marks are put in. */
	private static function html( string $text ): string {
		$escaped = htmlspecialchars( $text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8' );
		// A mark that somebody wrote in a page may have no other half.
		$marked = preg_replace( '/' . self::MARK . '([^' . self::MARK . self::UNMARK . ']*)' . self::UNMARK . '/u',
			'<mark>$1</mark>', $escaped );
		return str_replace( [ self::MARK, self::UNMARK ], '', $marked );
	}

	private static function shortened( string $words ): string {
		return mb_substr( mb_scrub( $words, 'UTF-8' ), 0, self::LONGEST_QUERY, 'UTF-8' );
	}

	private static function json( array $value ): string {
		return json_encode( $value,
			JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE );
	}

	private static function reason( int $status, array $answer ): string {
		$error = $answer['error'] ?? '';
		return "$status " . mb_substr( is_array( $error ) ? ( $error['reason'] ?? '' ) : (string)$error, 0, 300 );
	}

	/** @return array [ status, decoded answer ] */
	private function send( string $method, string $path, string $body, float $timeout ): array {
		$line = curl_init( rtrim( $this->server['url'], '/' ) . '/' . $path );
		$options = [
			CURLOPT_CUSTOMREQUEST => $method,
			CURLOPT_RETURNTRANSFER => true,
			CURLOPT_FOLLOWLOCATION => false,
			CURLOPT_PROTOCOLS_STR => 'https',
			CURLOPT_PROXY => '',
			CURLOPT_CAINFO => $this->server['ca'],
			CURLOPT_USERPWD => "{$this->server['user']}:{$this->server['password']}",
			CURLOPT_HTTPAUTH => CURLAUTH_BASIC,
			CURLOPT_CONNECTTIMEOUT_MS => (int)( $this->server['connect_timeout'] * 1000 ),
			CURLOPT_TIMEOUT_MS => (int)( $timeout * 1000 ),
			CURLOPT_NOSIGNAL => true,
			CURLOPT_HTTPHEADER => [ 'Content-Type: application/' .
				( str_ends_with( $path, '/_bulk' ) ? 'x-ndjson' : 'json' ), 'Expect:' ],
		];
		if ( $body !== '' ) {
			$options[CURLOPT_POSTFIELDS] = $body;
		}
		curl_setopt_array( $line, $options );
		$said = curl_exec( $line );
		if ( $said === false ) {
			throw new Unavailable( 'the search server does not answer: ' . curl_error( $line ) );
		}
		$status = curl_getinfo( $line, CURLINFO_RESPONSE_CODE );
		$answer = json_decode( $said, true );
		// 401 and 403, too: while a server starts it knows nobody yet, and a wrong
		// password is put right by an operator, not by forgetting what waits.
		if ( in_array( $status, [ 401, 403, 408, 429 ] ) || $status >= 500 ) {
			throw new Unavailable( 'the search server says ' .
				self::reason( $status, is_array( $answer ) ? $answer : [] ) );
		}
		return [ $status, is_array( $answer ) ? $answer : [] ];
	}
}
