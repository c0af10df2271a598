<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use GenericParameterJob;
use Job;
use MediaWiki\Logger\LoggerFactory;
use MediaWiki\MediaWikiServices;
use SiteSearch\Refused;
use SiteSearch\Unavailable;

/**
 * Tells the search server how one page is now. While the server is away the job goes
 * back into the queue, however long that takes; MediaWiki's own second try would come
 * an hour later, and its third would be the last.
 */
class IndexJob extends Job implements GenericParameterJob {
	/** Whether the server was away for the last job of this process. */
	public static bool $unavailable = false;

	public function __construct( array $params ) {
		parent::__construct( 'siteSearchIndex', $params );
		// A page that waits already need not wait twice.
		$this->removeDuplicates = true;
	}

	public static function ofPage( int $id ): self {
		return new self( [ 'page' => $id ] );
	}

	public function run(): bool {
		$id = $this->params['page'];
		$client = Server::client();
		try {
			// The time before the look at the page: of two looks the later one wins.
			$version = Document::version();
			$document = Document::ofPage( $id );
			if ( $document ) {
				$client->put( Server::index(), (string)$id, $document, $version );
			} else {
				$client->remove( Server::index(), (string)$id, $version );
			}
			self::$unavailable = false;
		} catch ( Unavailable $error ) {
			if ( !self::$unavailable ) {
				LoggerFactory::getInstance( 'error' )->error( 'SiteSearch: ' . $error->getMessage() );
			}
			self::$unavailable = true;
			MediaWikiServices::getInstance()->getJobQueueGroup()->push( self::ofPage( $id ) );
		} catch ( Refused $error ) {
			LoggerFactory::getInstance( 'error' )->error( "SiteSearch: page $id: " . $error->getMessage() );
			$this->setLastError( $error->getMessage() );
			return false;
		}
		return true;
	}
}
