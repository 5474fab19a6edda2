#include <config.h>

#include "blob/wire_error.h"

enum wire_result wire_result_of(CURLcode code, bool sent)
{
	switch (code) {
	case CURLE_OK:
		return WIRE_OK;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return WIRE_RESOLVE;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return WIRE_TLS;
	case CURLE_SSL_CONNECT_ERROR: /* also what a reset in the handshake gives */
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
		return WIRE_CONNECT;
	case CURLE_PARTIAL_FILE:
		return WIRE_SHORT;
	case CURLE_SEND_FAIL_REWIND: /* it wanted to send again, and could not */
		return WIRE_RESEND;
	case CURLE_OUT_OF_MEMORY:
		return WIRE_NO_MEMORY;
	case CURLE_URL_MALFORMAT:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
		return WIRE_GARBLED;
	default:
		return sent ? WIRE_BROKEN : WIRE_CONNECT;
	}
}
