<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use MediaWiki\Logger\LoggerFactory;
use MediaWiki\MediaWikiServices;
use MediaWiki\Title\Title;
use SearchEngine;
use SearchEngineFactory;
use SearchSuggestion;
use SearchSuggestionSet;
use SiteSearch\Refused;
use SiteSearch\Unavailable;

/** The wiki's search: the site's OpenSearch, and while that is away the database's own. */
class Engine extends SearchEngine {
	private ?SearchEngine $fallback = null;
	private ?Results $found = null;

	/** The jobs of this extension tell the server; MediaWiki's own update is for the database. */
	public function supports( $feature ) {
		return $feature === 'search-update' ? false : parent::supports( $feature );
	}

	public function isFallback(): bool {
		return $this->fallback !== null;
	}

	/** Asked first by Special:Search: OpenSearch finds titles and text in one go. */
	protected function doSearchTitle( $term ) {
		$this->find( $term );
		return $this->fallback ? $this->fallback->doSearchTitle( $term ) : null;
	}

	protected function doSearchText( $term ) {
		if ( !$this->found && !$this->fallback ) {
			$this->find( $term );
		}
		if ( $this->fallback ) {
			return $this->fallback->doSearchText( $term );
		}
		$found = $this->found;
		$this->found = null;
		return $found;
	}

	private function find( string $term ): void {
		$this->found = null;
		[ $words, $namespaces ] = [ $term, $this->namespaces ];
		$parsed = self::parseNamespacePrefixes( $term );
		if ( $parsed !== false ) {
			// null: in all namespaces
			[ $words, $namespaces ] = [ $parsed[0], $parsed[1] ?? [] ];
		}
		try {
			$this->found = new Results( Server::client()->search(
				[ Server::index() ], $words, $this->offset, $this->limit, self::filter( $namespaces )
			) );
		} catch ( Unavailable | Refused $error ) {
			$this->fallBack( $error );
		}
	}

	protected function completionSearchBackend( $search ) {
		if ( in_array( NS_SPECIAL, $this->namespaces ) ) {
			return parent::completionSearchBackend( $search );
		}
		try {
			$found = new Results( Server::client()->suggest(
				[ Server::index() ], trim( $search ), $this->offset, $this->limit,
				self::filter( $this->namespaces )
			) );
		} catch ( Unavailable | Refused $error ) {
			$this->fallBack( $error );
			return parent::completionSearchBackend( $search );
		}
		$titles = $found->extractTitles();
		// A page of a second ago may not be there yet; the database knows its title.
		return $titles ? SearchSuggestionSet::fromTitles( $titles ) : parent::completionSearchBackend( $search );
	}

	private static function filter( array $namespaces ): array {
		return $namespaces ? [ 'namespace' => array_map( 'intval', $namespaces ) ] : [];
	}

	private function fallBack( \Exception $error ): void {
		LoggerFactory::getInstance( 'error' )->error( 'SiteSearch: ' . $error->getMessage() );
		$services = MediaWikiServices::getInstance();
		$engine = SearchEngineFactory::getSearchEngineClass( $services->getConnectionProvider() );
		$this->fallback = $services->getSearchEngineFactory()->create( $engine );
		$this->fallback->setNamespaces( $this->namespaces );
		$this->fallback->setLimitOffset( $this->limit, $this->offset );
		$this->fallback->setShowSuggestion( $this->showSuggestion );
		$this->fallback->prefix = $this->prefix;
	}
}
