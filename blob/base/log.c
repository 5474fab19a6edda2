#include <config.h>

#include "blob/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *ident = "hpcpack";
static enum log_level max_level = LOG_LEVEL_INFO;
static int to_journal;

void log_init(const char *new_ident, enum log_level level)
{
	ident = new_ident;
	max_level = level;
	to_journal = getenv("JOURNAL_STREAM") != NULL;
}

enum log_level log_level(void)
{
	return max_level;
}

__attribute__((format(printf, 2, 0)))
static void emit(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const words[] = { "error", "warning", "info", "debug" };
	static const int priorities[] = { 3, 4, 6, 7 };
	char line[2048];
	int saved = errno;
	size_t head, len;

	if (level > max_level)
		return;
	if (to_journal)
		snprintf(line, sizeof(line), "<%d>", priorities[level]);
	else
		snprintf(line, sizeof(line), "%s: %s: ", ident, words[level]);
	head = strlen(line);
	vsnprintf(line + head, sizeof(line) - head - 1, fmt, ap);
	len = strlen(line);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0) {
		/* There is nowhere left to say so. */
	}
	errno = saved;
}

#define DEFINE_LOG(name, level) \
	void name(const char *fmt, ...) \
	{ \
		va_list ap; \
		va_start(ap, fmt); \
		emit(level, fmt, ap); \
		va_end(ap); \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)

const char *log_redact_url(const char *url, char *out, size_t size)
{
	static const char hidden[] = "REDACTED";
	size_t n = 0;

	while (*url && n + 1 < size) {
		int starts = (*url == '?' || *url == '&') && !strncasecmp(url + 1, "sig=", 4);

		out[n++] = *url++;
		if (!starts)
			continue;
		n += (size_t)snprintf(out + n, size - n, "sig=%s", hidden);
		if (n >= size)
			n = size - 1;
		url += strcspn(url, "&");
	}
	out[n] = '\0';
	return out;
}
