/*
 * wire_error.h - libcurl's result codes in the terms of wire.h; for wire.c only.
 */
#ifndef HPCPACK_BLOB_WIRE_ERROR_H
#define HPCPACK_BLOB_WIRE_ERROR_H

#include <curl/curl.h>

#include "blob/wire.h"

/* `sent`: part of the request may have left. */
enum wire_result wire_result_of(CURLcode code, bool sent);

#endif
