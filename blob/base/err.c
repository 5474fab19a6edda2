#include <config.h>

#include "blob/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[ERR_CODE_COUNT] = {
	[ERR_NONE] = "none",
	[ERR_USAGE] = "usage",
	[ERR_NOT_FOUND] = "not-found",
	[ERR_EXISTS] = "exists",
	[ERR_AUTH] = "auth",
	[ERR_LEASE_HELD] = "lease-held",
	[ERR_LEASE_LOST] = "lease-lost",
	[ERR_CONDITION] = "condition",
	[ERR_BUSY] = "busy",
	[ERR_NETWORK] = "network",
	[ERR_TIMEOUT] = "timeout",
	[ERR_SERVER] = "server",
	[ERR_PROTOCOL] = "protocol",
	[ERR_RANGE] = "range",
	[ERR_FORMAT] = "format",
	[ERR_UNSUPPORTED] = "unsupported",
	[ERR_NO_SPACE] = "no-space",
	[ERR_NO_MEMORY] = "no-memory",
	[ERR_PERMISSION] = "permission",
	[ERR_CANCELLED] = "cancelled",
	[ERR_READ_ONLY] = "read-only",
	[ERR_SYSTEM] = "system",
};

static enum err_code code_of_errno(int sys_errno)
{
	switch (sys_errno) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
		return ERR_PERMISSION;
	case EBUSY:
		return ERR_BUSY;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case ENOMEM:
		return ERR_NO_MEMORY;
	case EROFS:
		return ERR_READ_ONLY;
	default:
		return ERR_SYSTEM;
	}
}

/* A message is one line whatever a server or a file name put into it. */
static void one_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	err_clear(err);
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	one_line(err->msg);
	return -1;
}

int err_set_errno(struct err *err, int sys_errno, const char *fmt, ...)
{
	va_list ap;
	char reason[128];

	if (!err)
		return -1;
	err_clear(err);
	err->code = code_of_errno(sys_errno);
	err->sys_errno = sys_errno;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	one_line(err->msg);
	return err_append(err, ": %s", strerror_r(sys_errno, reason, sizeof(reason)));
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	va_list ap;
	char tail[sizeof(err->msg)];
	size_t len;

	if (!err)
		return -1;
	memcpy(tail, err->msg, sizeof(tail));
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	one_line(err->msg);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", tail);
	return -1;
}

int err_append(struct err *err, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	if (!err)
		return -1;
	len = strlen(err->msg);
	va_start(ap, fmt);
	vsnprintf(err->msg + len, sizeof(err->msg) - len, fmt, ap);
	va_end(ap);
	one_line(err->msg + len);
	return -1;
}

void err_clear(struct err *err)
{
	if (!err)
		return;
	memset(err, 0, sizeof(*err));
}

const char *err_code_name(enum err_code code)
{
	if ((unsigned)code >= ERR_CODE_COUNT)
		return names[ERR_SYSTEM];
	return names[code];
}

enum err_code err_code_from_name(const char *name)
{
	int i;

	for (i = 0; i < ERR_CODE_COUNT; i++)
		if (!strcmp(names[i], name))
			return (enum err_code)i;
	return ERR_SYSTEM;
}
