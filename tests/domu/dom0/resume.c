/*
 * Suspends a domain and resumes it where it is: "resume DOMID cancel" or "resume DOMID resume".
 *
 * xl resumes a domain after a failed save or migration, and for "save -c", by making the guest's hypercall return 1:
 * the suspend was cancelled. A toolstack may also let it return 0, as in a new domain: then the guest finds itself in
 * the same domain, where everything that it had is still there. xl never does that, so this program does, with xl's
 * own library.
 */

#include <libxl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    libxl_ctx *ctx = NULL;
    xentoollog_logger_stdiostream *logger;
    int rc, cancel;

    if (argc != 3 || (strcmp(argv[2], "cancel") && strcmp(argv[2], "resume"))) {
        fprintf(stderr, "usage: resume DOMID cancel|resume\n");
        return 2;
    }
    cancel = !strcmp(argv[2], "cancel");
    logger = xtl_createlogger_stdiostream(stderr, XTL_WARN, 0);
    rc = logger ? libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)logger) : -1;
    if (rc) {
        fprintf(stderr, "resume: libxl_ctx_alloc: %d\n", rc);
        return 1;
    }
    rc = libxl_domain_suspend_only(ctx, atoi(argv[1]), NULL);
    if (rc)
        fprintf(stderr, "resume: libxl_domain_suspend_only: %d\n", rc);
    if (!rc) {
        rc = libxl_domain_resume(ctx, atoi(argv[1]), cancel, NULL);
        if (rc)
            fprintf(stderr, "resume: libxl_domain_resume: %d\n", rc);
    }
    libxl_ctx_free(ctx);
    xtl_logger_destroy((xentoollog_logger *)logger);
    return rc ? 1 : 0;
}
