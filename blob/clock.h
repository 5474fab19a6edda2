/*
 * clock.h - the time that passes, and dates as HTTP writes them.
 */
#ifndef HPCPACK_BLOB_CLOCK_H
#define HPCPACK_BLOB_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of the monotonic clock. */
uint64_t clock_ms(void);

#define HTTP_DATE_MAX 32 /* bytes, NUL included */

/* RFC 9110 section 5.6.7, "Fri, 26 Jun 2026 23:39:12 GMT": in English whatever the
 * locale, which is why strftime() and strptime() don't do. */
void http_date_format(time_t t, char out[HTTP_DATE_MAX]);

/* 0 and *out, or -1 for anything else (the two obsolete forms included). */
int http_date_parse(const char *text, time_t *out);

#endif
