<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use HtmlArmor;
use MediaWiki\Title\Title;
use RevisionSearchResult;

/** One page that was found. The client has escaped its snippets already. */
class Result extends RevisionSearchResult {
	public function __construct( Title $title, private array $hit ) {
		parent::__construct( $title );
	}

	private static function marked( string $html ): string {
		return str_replace( [ '<mark>', '</mark>' ], [ '<span class="searchmatch">', '</span>' ], $html );
	}

	public function getTextSnippet( $terms = [] ) {
		return self::marked( $this->hit['text'] );
	}

	public function getTitleSnippet() {
		// Only if it is still the title, and something in it was found.
		$same = ( $this->hit['source']['title'] ?? null ) === $this->getTitle()->getPrefixedText();
		return $same && str_contains( $this->hit['title'], '<mark>' ) ? self::marked( $this->hit['title'] ) : '';
	}
}
