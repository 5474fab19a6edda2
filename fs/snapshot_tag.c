#include <config.h>

#include "fs/snapshot_tag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/base/process.h"

#define TAG_MAX 6000
/* Between our clock, which is in the tag, and the service's, which is the
 * snapshot's name, the time that the request took included. */
#define CLOCKS_APART_S 60

/* What tells this process from all others. */
struct self {
	char host[256], boot[64], pid_namespace[32];
};

static void read_boot(char *out, size_t size)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(out, (int)size, f))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* "pid:[4026531836]": the number. */
static void read_pid_namespace(char *out, size_t size)
{
	char link[64];
	ssize_t n = readlink("/proc/self/ns/pid", link, sizeof(link) - 1);
	const char *digits;

	link[n > 0 ? n : 0] = '\0';
	digits = strchr(link, '[');
	snprintf(out, size, "%.*s", digits ? (int)strspn(digits + 1, "0123456789") : 0,
		 digits ? digits + 1 : "");
}

static void know_self(struct self *s)
{
	if (gethostname(s->host, sizeof(s->host)) < 0)
		s->host[0] = '\0';
	s->host[sizeof(s->host) - 1] = '\0';
	read_boot(s->boot, sizeof(s->boot));
	read_pid_namespace(s->pid_namespace, sizeof(s->pid_namespace));
}

static void format_time(time_t t, char *out, size_t size)
{
	struct tm tm;

	strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

char *snapshot_tag_make(const struct lease_holder *who)
{
	struct lease_holder holder = *who;
	cleanup_buf struct buf b = BUF_INIT(TAG_MAX);
	cleanup_free char *first = NULL;
	struct self self;

	know_self(&self);
	snprintf(holder.host, sizeof(holder.host), "%s", self.host);
	holder.pid = getpid();
	format_time(time(NULL), holder.since, sizeof(holder.since));
	blob_new_guid(holder.id);
	first = lease_holder_format(&holder);
	if (!first || buf_addf(&b, "%s;start=%llu;boot=%s;pidns=%s", first,
			       (unsigned long long)process_start(getpid()), self.boot,
			       self.pid_namespace) < 0)
		return NULL;
	return buf_steal(&b);
}

/* The value of a field of ours, "" if it is not there. */
static void take_field(const char *tag, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	out[0] = '\0';
	for (const char *at = tag; at; at = strchr(at, ';')) {
		at += *at == ';';
		if (!strncmp(at, name, len) && at[len] == '=') {
			at += len + 1;
			snprintf(out, size, "%.*s", (int)strcspn(at, ";"), at);
			return;
		}
	}
}

/* Whole seconds of "2026-11-21T03:26:09.1234567Z"; 0: it is no time. */
static time_t parse_time(const char *text)
{
	struct tm tm = { .tm_isdst = 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	return rest && (*rest == '.' || *rest == 'Z') ? timegm(&tm) : 0;
}

static bool taken_then(const char *since, const char *time)
{
	time_t tag = parse_time(since), snapshot = parse_time(time);

	return tag && snapshot && labs((long)(tag - snapshot)) < CLOCKS_APART_S;
}

bool snapshot_tag_abandoned(const char *tag, const char *time)
{
	struct lease_holder holder;
	char start[32], boot[64], pid_namespace[32];
	struct self self;

	know_self(&self);
	take_field(tag, "start", start, sizeof(start));
	take_field(tag, "boot", boot, sizeof(boot));
	take_field(tag, "pidns", pid_namespace, sizeof(pid_namespace));
	if (lease_holder_parse(tag, &holder) < 0 || !taken_then(holder.since, time))
		return false;
	if (!*self.host || !*self.boot || !*self.pid_namespace || strcmp(self.host, holder.host) ||
	    strcmp(self.boot, boot) || strcmp(self.pid_namespace, pid_namespace))
		return false;
	return process_gone((pid_t)holder.pid, strtoull(start, NULL, 10));
}
