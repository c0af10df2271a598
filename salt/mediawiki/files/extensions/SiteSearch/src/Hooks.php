<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use JobQueueGroup;
use MediaWiki\Hook\LinksUpdateCompleteHook;
use MediaWiki\Hook\PageMoveCompleteHook;
use MediaWiki\Hook\SpecialSearchResultsAppendHook;
use MediaWiki\Html\Html;
use MediaWiki\Page\Hook\PageDeleteCompleteHook;
use MediaWiki\Page\Hook\PageUndeleteCompleteHook;
use MediaWiki\Page\ProperPageIdentity;
use MediaWiki\Permissions\Authority;
use MediaWiki\Revision\RevisionLookup;
use MediaWiki\Revision\RevisionRecord;
use MediaWiki\Revision\SlotRecord;
use MediaWiki\Storage\Hook\PageSaveCompleteHook;
use MediaWiki\Title\Title;
use ManualLogEntry;

/**
 * Puts pages that changed into the job queue. Nothing here speaks to the search
 * server: an edit neither waits for it nor fails with it.
 */
class Hooks implements
	PageSaveCompleteHook,
	PageDeleteCompleteHook,
	PageMoveCompleteHook,
	PageUndeleteCompleteHook,
	LinksUpdateCompleteHook,
	SpecialSearchResultsAppendHook
{
	public function __construct( private JobQueueGroup $jobs, private RevisionLookup $revisions ) {
	}

	public function onPageSaveComplete( $wikiPage, $user, $summary, $flags, $revisionRecord, $editResult ) {
		$before = $revisionRecord->getParentId()
			? $this->revisions->getRevisionById( $revisionRecord->getParentId() ) : null;
		$this->changed( $wikiPage->getId(), $this->target( $revisionRecord ), $this->target( $before ) );
	}

	public function onPageDeleteComplete(
		ProperPageIdentity $page, Authority $deleter, string $reason, int $pageID,
		RevisionRecord $deletedRev, ManualLogEntry $logEntry, int $archivedRevisionCount
	) {
		$this->changed( $pageID, $this->target( $deletedRev ) );
	}

	public function onPageMoveComplete( $old, $new, $user, $pageid, $redirid, $reason, $revision ) {
		$this->changed( $pageid, $redirid );
	}

	public function onPageUndeleteComplete(
		ProperPageIdentity $page, Authority $restorer, string $reason, RevisionRecord $restoredRev,
		ManualLogEntry $logEntry, int $restoredRevisionCount, bool $created, array $restoredPageIds
	): void {
		$this->changed( $page->getId(), $this->target( $restoredRev ) );
	}

	/** After edits of a template, too: then the page's text changes, and nobody saved it. */
	public function onLinksUpdateComplete( $linksUpdate, $ticket ) {
		$this->changed( $linksUpdate->getPageId() );
	}

	public function onSpecialSearchResultsAppend( $specialSearch, $output, $term ) {
		$engine = $specialSearch->getSearchEngine();
		if ( $engine instanceof Engine && $engine->isFallback() ) {
			$output->addModuleStyles( 'mediawiki.codex.messagebox.styles' );
			$output->prependHTML( Html::warningBox(
				$output->msg( 'sitesearch-fallback' )->escaped(), 'sitesearch-fallback'
			) );
			// The answer of a bad moment must not be kept.
			$output->disableClientCache();
		}
	}

	private function changed( ?int ...$pages ): void {
		foreach ( array_unique( array_filter( $pages ) ) as $page ) {
			$this->jobs->lazyPush( IndexJob::ofPage( $page ) );
		}
	}

	/** The page to which a redirect led: it is found by the redirect's name. */
	private function target( ?RevisionRecord $revision ): int {
		$content = $revision?->getContent( SlotRecord::MAIN, RevisionRecord::RAW );
		$target = $content?->getRedirectTarget();
		return $target ? Title::newFromLinkTarget( $target )->getArticleID() : 0;
	}
}
