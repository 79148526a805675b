/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/authority_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm.h"
#include "net/tls.h"

int authority_fail(char *error, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, AUTHORITY_ERROR_BYTES, format, arguments);
    va_end(arguments);
    ERR_clear_error();
    return code;
}

int authority_fail_openssl(char *error, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return authority_fail(error, DSM_ENOMEM, "%s: %s", what, reason ? reason : "out of memory");
}

int authority_join(char path[PATH_MAX], const char *directory, const char *name, char *error)
{
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        return authority_fail(error, DSM_ESYS, "%.200s...: the path is too long", directory);
    }
    return 0;
}

int authority_check_absent(const char *directory, const char *name, char *error)
{
    char path[PATH_MAX];
    struct stat status;
    int result = authority_join(path, directory, name, error);
    if (result == 0 && lstat(path, &status) == 0) {
        return authority_fail(error, DSM_EEXIST,
                              "%.900s exists and is not overwritten; choose another "
                              "directory, or move it away if it is no longer needed",
                              path);
    }
    return result;
}

/** Bring the names in the directory to the disk. */
static bool sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_good = fd >= 0 && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = number;
    return is_good;
}

/** Write a new file and bring it to the disk; nothing is left on error. */
static int write_file(const char *directory, const char *name, mode_t mode, BIO *bio, char *error)
{
    char path[PATH_MAX];
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    int result = authority_join(path, directory, name, error);
    if (result != 0) {
        return result;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return authority_fail(error, errno == EEXIST ? DSM_EEXIST : DSM_ESYS,
                              "%.900s: cannot be made: %s", path, strerror(errno));
    }
    ssize_t written = 0;
    while (written < len) {
        ssize_t count = write(fd, bytes + written, (size_t)(len - written));
        if (count < 0 && errno != EINTR) {
            break;
        }
        written += count > 0 ? count : 0;
    }
    /* fchmod: the umask may have taken bits from a certificate that others are to read. */
    bool is_good = written == len && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int number = errno;
    if (close(fd) != 0 && is_good) {
        is_good = false;
        number = errno;
    }
    if (is_good && !sync_directory(directory)) {
        is_good = false;
        number = errno;
    }
    if (!is_good) {
        unlink(path);
        return authority_fail(error, DSM_ESYS, "%.900s: cannot be written: %s", path,
                              strerror(number));
    }
    return 0;
}

int authority_write_certificate(const char *directory, const char *name, X509 *certificate,
                                char *error)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int result;
    if (!bio || PEM_write_bio_X509(bio, certificate) != 1) {
        result = authority_fail_openssl(error, "cannot write a certificate");
    } else {
        result = write_file(directory, name, 0644, bio, error);
    }
    BIO_free(bio);
    return result;
}

int authority_write_key(const char *directory, const char *name, EVP_PKEY *key, char *error)
{
    /* Secure memory BIOs are wiped when freed. */
    BIO *bio = BIO_new(BIO_s_secmem());
    int result;
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
        result = authority_fail_openssl(error, "cannot write a key");
    } else {
        result = write_file(directory, name, 0600, bio, error);
    }
    BIO_free(bio);
    return result;
}

void authority_remove_file(const char *directory, const char *name)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/%s", directory, name) < (int)sizeof(path)) {
        unlink(path);
    }
}

static BIO *open_bio(const char *path, char *error, int *result)
{
    errno = 0;
    ERR_clear_error();
    BIO *bio = BIO_new_file(path, "re");
    if (!bio) {
        /* BIO_new_file() may have had no memory for itself, and then errno is what it was. */
        bool lacked = openssl_lacked_memory() || errno == ENOMEM;
        *result =
            authority_fail(error, lacked ? DSM_ENOMEM : DSM_ECERT, "%.900s: cannot be read: %s",
                           path, strerror(lacked ? ENOMEM : errno));
    }
    return bio;
}

int authority_read_certificate(const char *path, X509 **certificate, char *error)
{
    int result = 0;
    BIO *bio = open_bio(path, error, &result);
    if (!bio) {
        return result;
    }
    X509 *read = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!read && openssl_lacked_memory()) {
        return authority_fail(error, DSM_ENOMEM, "%.900s: no memory to read it", path);
    }
    if (!read) {
        return authority_fail(error, DSM_ECERT, "%.900s: holds no certificate in PEM form", path);
    }
    *certificate = read;
    return 0;
}

/** Never asks for a pass phrase: keys of this cluster have none. */
static int refuse_pass_phrase(char *text, int size, int is_write, void *context)
{
    (void)text, (void)size, (void)is_write, (void)context;
    return -1;
}

int authority_read_key(const char *path, EVP_PKEY **key, char *error)
{
    int result = 0;
    BIO *bio = open_bio(path, error, &result);
    if (!bio) {
        return result;
    }
    EVP_PKEY *read = PEM_read_bio_PrivateKey(bio, NULL, refuse_pass_phrase, NULL);
    BIO_free(bio);
    if (!read && openssl_lacked_memory()) {
        return authority_fail(error, DSM_ENOMEM, "%.900s: no memory to read it", path);
    }
    if (!read) {
        return authority_fail(error, DSM_ECERT,
                              "%.900s: holds no private key in PEM form without a pass "
                              "phrase",
                              path);
    }
    *key = read;
    return 0;
}
