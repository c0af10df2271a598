<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use Maintenance;

require_once '/usr/share/mediawiki/maintenance/Maintenance.php';

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
		while ( true ) {
			$done = $runner->run( [ 'type' => 'siteSearchIndex', 'maxJobs' => 1 ] );
			if ( in_array( $done['reached'], [ 'memory-limit', 'exception' ] ) ) {
				// systemd starts a new one.
				return;
			}
			if ( IndexJob::$unavailable ) {
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
}

$maintClass = RunIndexJobs::class;
require_once RUN_MAINTENANCE_IF_MAIN;
