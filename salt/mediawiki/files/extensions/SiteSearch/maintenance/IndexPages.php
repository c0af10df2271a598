<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use Maintenance;
use SiteSearch\Refused;
use SiteSearch\Unavailable;

require_once MW_INSTALL_PATH . '/maintenance/Maintenance.php';

/** Writes all pages, or those that changed since a time, into an index. */
class IndexPages extends Maintenance {
	public function __construct() {
		parent::__construct();
		$this->addDescription( 'Write all pages into an index of the search server' );
		$this->addOption( 'index', 'Name of the index, or alias; default: the alias in use', false, true );
		$this->addOption( 'since', 'Only what changed since, a Unix timestamp', false, true );
		$this->setBatchSize( 100 );
	}

	public function execute() {
		$client = Server::client();
		$index = $this->getOption( 'index', Server::index() );
		$since = $this->getOption( 'since' );
		$written = $removed = 0;
		try {
			foreach ( $this->batches( $since ) as $ids ) {
				$changes = [];
				foreach ( $ids as $id ) {
					$version = Document::version();
					$document = Document::ofPage( $id );
					$document ? $written++ : $removed++;
					// A whole index is filled from nothing: what is no page need not leave.
					if ( $document || $since !== null ) {
						$changes[] = [ (string)$id, $document, $version ];
					}
				}
				$client->bulk( $index, $changes );
			}
			$client->refresh( $index );
		} catch ( Unavailable | Refused $error ) {
			$this->fatalError( $error->getMessage() );
		}
		$this->output( json_encode( [ 'index' => $index, 'written' => $written, 'left_out' => $removed ] ) . "\n" );
	}

	private function batches( ?string $since ): iterable {
		$database = $this->getPrimaryDB();
		$from = 0;
		do {
			$query = $database->newSelectQueryBuilder()->select( 'page_id' )->from( 'page' )
				->where( $database->expr( 'page_id', '>', $from ) )
				->orderBy( 'page_id' )->limit( $this->getBatchSize() )->caller( __METHOD__ );
			if ( $since !== null ) {
				$query->andWhere( $database->expr( 'page_touched', '>=', $database->timestamp( (int)$since ) )
					->or( 'page_links_updated', '>=', $database->timestamp( (int)$since ) ) );
			}
			$ids = array_map( 'intval', $query->fetchFieldValues() );
			if ( $ids ) {
				yield $ids;
				$from = end( $ids );
			}
		} while ( $ids );
		if ( $since !== null ) {
			$gone = $database->newSelectQueryBuilder()->select( 'log_page' )->distinct()->from( 'logging' )
				->where( [ 'log_type' => [ 'delete', 'move', 'merge' ] ] )
				->andWhere( $database->expr( 'log_timestamp', '>=', $database->timestamp( (int)$since ) ) )
				->caller( __METHOD__ )->fetchFieldValues();
			yield from array_chunk( array_filter( array_map( 'intval', $gone ) ), $this->getBatchSize() );
		}
	}
}

$maintClass = IndexPages::class;
require_once RUN_MAINTENANCE_IF_MAIN;
