<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use MediaWiki\MediaWikiServices;
use SearchResultSet;

/** What the search server found, without pages that are gone meanwhile. */
class Results extends SearchResultSet {
	private int $total;

	public function __construct( array $found ) {
		parent::__construct();
		$this->total = $found['total'];
		$this->results = [];
		$titles = self::titles( array_map( static fn ( $hit ) => (int)$hit['id'], $found['hits'] ) );
		foreach ( $found['hits'] as $hit ) {
			$title = $titles[(int)$hit['id']] ?? null;
			if ( $title ) {
				$this->results[] = new Result( $title, $hit );
			}
		}
	}

	public function getTotalHits() {
		return $this->total;
	}

	/** Titles as they are now: a page may have been moved a moment ago. */
	private static function titles( array $ids ): array {
		if ( !$ids ) {
			return [];
		}
		$services = MediaWikiServices::getInstance();
		$titles = [];
		$pages = $services->getPageStore()->newSelectQueryBuilder()
			->wherePageIds( $ids )->caller( __METHOD__ )->fetchPageRecords();
		foreach ( $pages as $page ) {
			$titles[$page->getId()] = $services->getTitleFactory()->newFromPageIdentity( $page );
		}
		return $titles;
	}
}
