/*
 * log.h - one line per event, to stderr or (under systemd) the journal.
 *
 * stderr carries sd-daemon(3) priority prefixes ("<3>") when JOURNAL_STREAM
 * says that it goes to the journal, else "ident: level: text". Safe from any
 * thread; a line is written with one write(2). Never pass a key or a SAS:
 * log_redact_url() takes the sig= out of a URL.
 */
#ifndef HPCPACK_BLOB_BASE_LOG_H
#define HPCPACK_BLOB_BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `ident` is kept, not copied. Lines above `level` are dropped. */
void log_init(const char *ident, enum log_level level);
enum log_level log_level(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Copy `url` to `out` (always terminated) with the value of every sig=
 * parameter replaced by "REDACTED". Returns out. */
const char *log_redact_url(const char *url, char *out, size_t size);

#endif
