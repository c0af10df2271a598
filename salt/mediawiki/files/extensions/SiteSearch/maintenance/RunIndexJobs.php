<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use Maintenance;
use SiteSearch\Unavailable;

require_once MW_INSTALL_PATH . '/maintenance/Maintenance.php';

/**
 * Works off the queue of pages to tell the search server about. A runner of its own:
 * a long job of another kind must not hold it up, and while the server is away its
 * waiting must not hold up others.
 */
class RunIndexJobs extends Maintenance {
	public function __construct() {
		parent::__construct();
		$this->addDescription( 'Tell the search server about pages as they change' );
		$this->addOption( 'pause', 'Seconds to wait while the server is away', false, true );
		$this->addOption( 'once', 'End when nothing waits' );
	}

	public function execute() {
		$pause = (int)$this->getOption( 'pause', 3 );
		$runner = $this->getServiceContainer()->getJobRunner();
		$looked = false;
		while ( true ) {
			$looked = $looked || $this->fillIfEmpty();
			$done = $runner->run( [ 'type' => 'siteSearchIndex', 'maxJobs' => 1 ] );
			if ( in_array( $done['reached'], [ 'memory-limit', 'exception' ] ) ) {
				// systemd starts a new one.
				return;
			}
			if ( IndexJob::$unavailable ) {
				// It may come back with nothing.
				$looked = false;
				if ( $this->hasOption( 'once' ) ) {
					$this->fatalError( 'the search server is away' );
				}
				sleep( $pause );
			} elseif ( !$done['jobs'] ) {
				if ( $this->hasOption( 'once' ) ) {
					return;
				}
				sleep( 1 );
			}
		}
	}

	/**
	 * A server that is new, or that lost all, has to be told of every page.
	 * @return bool whether it could be asked
	 */
	private function fillIfEmpty(): bool {
		try {
			if ( Server::client()->count( Server::index() ) > 0 ) {
				return true;
			}
		} catch ( Unavailable $error ) {
			return false;
		}
		$jobs = $this->getServiceContainer()->getJobQueueGroup();
		$database = $this->getPrimaryDB();
		$from = 0;
		do {
			$ids = $database->newSelectQueryBuilder()->select( 'page_id' )->from( 'page' )
				->where( $database->expr( 'page_id', '>', $from ) )->andWhere( [ 'page_is_redirect' => 0 ] )
				->orderBy( 'page_id' )->limit( 500 )->caller( __METHOD__ )->fetchFieldValues();
			$jobs->push( array_map( static fn ( $id ) => IndexJob::ofPage( (int)$id ), $ids ) );
			$from = (int)end( $ids );
		} while ( $ids );
		return true;
	}
}

$maintClass = RunIndexJobs::class;
require_once RUN_MAINTENANCE_IF_MAIN;
