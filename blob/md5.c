#include <config.h>

#include "blob/md5.h"

#include <openssl/evp.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct md5 {
	EVP_MD_CTX *context;
};

/*
 * `data` NULL: idle; else the thread's. `lock` guards data, len and ending.
 */
struct md5_thread {
	struct md5 *md5;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const void *data;
	size_t len;
	bool ending;
};

struct md5 *md5_new(struct err *err)
{
	struct md5 *m = calloc(1, sizeof(*m));

	if (m)
		m->context = EVP_MD_CTX_new();
	if (m && m->context && EVP_DigestInit_ex(m->context, EVP_md5(), NULL) == 1)
		return m;
	err_set(err, ERR_UNSUPPORTED,
		"OpenSSL gives no MD5 here, which the Blob service checks transfers by; allow it in openssl.cnf(5)");
	if (m)
		md5_end(m, NULL);
	return NULL;
}

void md5_add(struct md5 *m, const void *data, size_t len)
{
	EVP_DigestUpdate(m->context, data, len);
}

void md5_end(struct md5 *m, char out[MD5_TEXT_MAX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (out) {
		EVP_DigestFinal_ex(m->context, digest, &len);
		EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
	}
	EVP_MD_CTX_free(m->context);
	free(m);
}

int md5_of(const void *data, size_t len, char out[MD5_TEXT_MAX], struct err *err)
{
	struct md5 *m = md5_new(err);

	if (!m)
		return -1;
	md5_add(m, data, len);
	md5_end(m, out);
	return 0;
}

/* --- on a thread --- */

static void *work(void *arg)
{
	struct md5_thread *t = arg;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (!t->data && !t->ending)
			pthread_cond_wait(&t->changed, &t->lock);
		if (!t->data)
			break;
		pthread_mutex_unlock(&t->lock);
		md5_add(t->md5, t->data, t->len);
		pthread_mutex_lock(&t->lock);
		t->data = NULL;
		pthread_cond_broadcast(&t->changed);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void free_thread(struct md5_thread *t)
{
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct md5_thread *md5_thread_new(struct err *err)
{
	struct md5_thread *t = calloc(1, sizeof(*t));
	int rc;

	if (!t) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->md5 = md5_new(err);
	rc = t->md5 ? pthread_create(&t->thread, NULL, work, t) : 0;
	if (t->md5 && !rc)
		return t;
	if (t->md5) {
		md5_end(t->md5, NULL);
		err_set_errno(err, rc, "can't start a thread");
	}
	free_thread(t);
	return NULL;
}

void md5_thread_add(struct md5_thread *t, const void *data, size_t len)
{
	pthread_mutex_lock(&t->lock);
	t->data = data;
	t->len = len;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

void md5_thread_wait(struct md5_thread *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->data)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

void md5_thread_end(struct md5_thread *t, char out[MD5_TEXT_MAX])
{
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	md5_end(t->md5, out);
	free_thread(t);
}
