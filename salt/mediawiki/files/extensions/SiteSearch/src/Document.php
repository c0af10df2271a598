<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use MediaWiki\MediaWikiServices;
use MediaWiki\Revision\SlotRecord;
use MediaWiki\Title\Title;
use WikiTextStructure;
use Wikimedia\Rdbms\IDBAccessObject;

/** What the search server is told of a page. */
class Document {
	// Redirects told with a page; who makes more of them is found by these.
	private const MOST_REDIRECTS = 200;

	/** Milliseconds: a state read later has a greater number. */
	public static function version(): int {
		return (int)( microtime( true ) * 1000 );
	}

	/**
	 * The document of a page, as the primary database has it now.
	 * @return array|null null if there is no such page, or it only leads elsewhere
	 */
	public static function ofPage( int $id ): ?array {
		$services = MediaWikiServices::getInstance();
		$page = $services->getWikiPageFactory()->newFromID( $id, IDBAccessObject::READ_LATEST );
		if ( !$page || !$page->exists() || $page->isRedirect() ) {
			return null;
		}
		$revision = $page->getRevisionRecord();
		$content = $revision ? $revision->getContent( SlotRecord::MAIN ) : null;
		if ( !$content ) {
			return null;
		}
		$title = $page->getTitle();
		return [
			'id' => (string)$id,
			'site' => 'wiki',
			'title' => $title->getPrefixedText(),
			'namespace' => $title->getNamespace(),
			'redirects' => self::redirects( $title ),
			'url' => $title->getCanonicalURL(),
			'text' => self::text( $page, $content ),
			'updated' => wfTimestamp( TS_ISO_8601, $revision->getTimestamp() ),
		];
	}

	private static function text( $page, $content ): string {
		if ( $content->getModel() !== CONTENT_MODEL_WIKITEXT ) {
			return $content->getTextForSearchIndex();
		}
		$output = $content->getContentHandler()->getParserOutputForIndexing( $page );
		if ( !$output || !$output->hasText() ) {
			return '';
		}
		$structure = new WikiTextStructure( $output );
		$text = implode( ' ', [ implode( '. ', $structure->headings() ), $structure->getMainText(),
			...$structure->getAuxiliaryText() ] );
		return trim( preg_replace( '/\s+/u', ' ', $text ) ?? $text );
	}

	private static function redirects( Title $title ): array {
		return array_map( static fn ( $from ) => $from->getPrefixedText(),
			array_slice( $title->getRedirectsHere(), 0, self::MOST_REDIRECTS ) );
	}
}
