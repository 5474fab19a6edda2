#include <config.h>

#include "blob/wire_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/base/cleanup.h"
#include "blob/clock.h"

/* --- what goes this way --- */

/* What libcurl would look at, too. */
static bool proxies(void)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return true;
	}
	return false;
}

/* The length of "scheme://host:port"; 0 if there is more in it, or too much. */
static size_t origin_length(const char *url)
{
	const char *host = strstr(url, "://");
	size_t len;

	if (!host)
		return 0;
	host += 3;
	len = strcspn(host, "/?#");
	if (!len || memchr(host, '@', len) || memchr(host, '%', len))
		return 0;
	len += (size_t)(host - url);
	return len < sizeof(((struct wire_direct *)0)->origin) ? len : 0;
}

bool wire_direct_fits(const struct exchange *x)
{
	bool bulk = (!strcmp(x->method, "GET") && x->sink) || (!strcmp(x->method, "PUT") && x->body_len);

	return bulk && !x->collect && origin_length(x->url) && (url_is_loopback(x->url) || !proxies());
}

bool wire_direct_has(const struct wire_slot *s, const struct exchange *x)
{
	const struct wire_direct *d = &s->direct;
	size_t len = strlen(d->origin);

	return d->state == DIRECT_IDLE && origin_length(x->url) == len && !strncmp(x->url, d->origin, len) &&
	       (x->ca_file && d->ca_file ? !strcmp(x->ca_file, d->ca_file) : x->ca_file == d->ca_file);
}

/* --- the request --- */

static int make_head(struct wire_direct *d, const struct exchange *x)
{
	const char *path = x->url + strlen(d->origin);
	size_t i;

	buf_reset(&d->head);
	buf_addf(&d->head, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: " PACKAGE_NAME "/" PACKAGE_VERSION
		 "\r\nAccept: */*\r\n", x->method, *path == '/' ? "" : "/", path, strstr(d->origin, "://") + 3);
	for (i = 0; i < x->headers->count; i++) {
		buf_addstr(&d->head, x->headers->items[i].name);
		buf_addstr(&d->head, ": ");
		buf_addstr(&d->head, x->headers->items[i].value);
		buf_addstr(&d->head, "\r\n");
	}
	if (x->body_len)
		buf_addf(&d->head, "Content-Length: %llu\r\n", (unsigned long long)x->body_len);
	return buf_addstr(&d->head, "\r\n");
}

static int set_up(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;
	const struct exchange *x = s->x;
	size_t len = origin_length(x->url);

	if (!d->easy && !(d->easy = wire_easy_new(s)))
		return -1;
	memcpy(d->origin, x->url, len);
	d->origin[len] = '\0';
	d->tls = !strncasecmp(d->origin, "https:", 6);
	free(d->ca_file);
	d->ca_file = x->ca_file ? strdup(x->ca_file) : NULL;
	curl_easy_setopt(d->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(d->easy, CURLOPT_PROXY, "");
	if ((x->ca_file && !d->ca_file) ||
	    curl_easy_setopt(d->easy, CURLOPT_CAINFO, d->ca_file ? d->ca_file : s->usual_ca) != CURLE_OK ||
	    curl_easy_setopt(d->easy, CURLOPT_URL, d->origin) != CURLE_OK)
		return -1;
	return 0;
}

static void begin(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;

	d->state = DIRECT_SENDING;
	s->x->sent = true;
	wire_direct_send(s);
}

/* --- the connection --- */

int wire_direct_start(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;
	struct exchange *x = s->x;
	bool kept = !x->fresh && wire_direct_has(s, x) && clock_ms() - d->idle_since_ms < IDLE_SECONDS * 1000;

	if (!kept) {
		wire_direct_close(s);
		if (set_up(s) < 0)
			return -1;
	}
	d->head_sent = 0;
	d->body_sent = 0;
	wire_reply_init(&d->reply, x);
	if (make_head(d, x) < 0)
		return -1;
	if (kept) {
		begin(s);
		return 0;
	}
	if (curl_multi_add_handle(s->wire->multi, d->easy) != CURLM_OK)
		return -1;
	d->state = DIRECT_CONNECTING;
	d->used = false;
	return 0;
}

void wire_direct_connected(struct wire_slot *s, CURLcode code)
{
	struct wire_direct *d = &s->direct;

	if (code == CURLE_OK)
		code = curl_easy_getinfo(d->easy, CURLINFO_ACTIVESOCKET, &d->fd);
	if (code != CURLE_OK) {
		wire_fail(s, d->easy, code);
		wire_direct_close(s);
		return;
	}
	wire_poll_lend(&s->wire->poll, d->fd, s);
	begin(s);
}

void wire_direct_ready(struct wire_slot *s, uint32_t events)
{
	struct wire_direct *d = &s->direct;

	if (d->state == DIRECT_IDLE) {
		if (!wire_direct_silent(s))
			wire_direct_close(s);
		return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		wire_direct_receive(s);
	if (d->state == DIRECT_SENDING && events & EPOLLOUT)
		wire_direct_send(s);
}

void wire_direct_close(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;

	if (d->state != DIRECT_NONE)
		curl_multi_remove_handle(s->wire->multi, d->easy); /* closes the connection */
	d->state = DIRECT_NONE;
}

void wire_direct_free(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;

	wire_direct_close(s);
	curl_easy_cleanup(d->easy);
	free(d->ca_file);
	buf_wipe(&d->head);
}
