# Managed by Saltworks: lemonldap-ng. Local changes are overwritten.
#
# PKCE with a hashed challenge alone: LemonLDAP::NG 2.21 also takes `plain`, where
# the challenge is the verifier itself, and whoever sees the one has the other.
package Lemonldap::NG::Portal::Plugins::Saltworks;

use strict;
use Lemonldap::NG::Portal::Main::Constants qw(PE_OK PE_ERROR);
use Mouse;

extends 'Lemonldap::NG::Portal::Main::Plugin';

our $VERSION = '1.0.0';

use constant hook => { oidcGotRequest => 'hashedChallenge' };

sub init { 1 }

sub hashedChallenge {
    my ( $self, $req, $asked ) = @_;
    return PE_OK
      if !$asked->{code_challenge} or ( $asked->{code_challenge_method} // '' ) eq 'S256';
    $self->userLogger->error("OpenID Connect: a code challenge that is not hashed is refused");
    return PE_ERROR;
}

1;
