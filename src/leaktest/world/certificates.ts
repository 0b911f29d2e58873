/*
 * Certificates of the suite's own far sides, for names that exist nowhere. Both keys are published here on purpose:
 * they are worth nothing outside a run of the suite.
 */

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** Of the far sides that a record names; its key is pinned. */
export const KNOWN: Certificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIfeRYsSWEaIccyXy
3hA27TBRjLkyvaBoTY53XCpyEpahRANCAATwDC73fh7ryITfaj/M2Vsj+Spxmu+W
+GkoXzWlC0Vv5RwyadA3Muv4pP1g8xJul+AEzllfQ2X/n9d+vba5lzAm
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBrDCCAVOgAwIBAgIUKTOvSKteUIJCxXw781rym3ZJLBQwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLYS5sZWFrLnRlc3QwIBcNMjYxMTI3MTg1NDAxWhgPMjA1NjEx
MTkxODU0MDFaMBYxFDASBgNVBAMMC2EubGVhay50ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAE8Awu934e68iE32o/zNlbI/kqcZrvlvhpKF81pQtFb+UcMmnQ
NzLr+KT9YPMSbpfgBM5ZX0Nl/5/Xfr22uZcwJqN9MHswHQYDVR0OBBYEFPViTQ2S
aTuugcFrvBqnA/AE/uIFMB8GA1UdIwQYMBaAFPViTQ2SaTuugcFrvBqnA/AE/uIF
MCgGA1UdEQQhMB+CC2EubGVhay50ZXN0ghBnbG9iYWwubGVhay50ZXN0MA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgF9TGg6GoLI6lmMUoXA+hmzq2
GUobze12MmolaObkEIkCICGSMnu2GTNWSzA2UKQPQeqxfh2aoUb3as7LIm+gZoRo
-----END CERTIFICATE-----
`,
};

/** Of a far side that claims the same names under an authority that no record names. */
export const ROGUE: Certificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguu/S0s/KNjZ5v/xW
8piF+O799lpOQtLdRdFjT8f7xhuhRANCAAQ/be1HUdJ8lcf3SrU96gqG0xTckc/F
5Bb3JPNXlS459PUqi9jA+zaBhhhS49rI8Nadx0nn6RIfKWkQL8Z9bKM3
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBrjCCAVOgAwIBAgIUTZLk4Mnj/+paNpkF04ikv2YWtsEwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLYS5sZWFrLnRlc3QwIBcNMjYxMTI3MTg1NDAxWhgPMjA1NjEx
MTkxODU0MDFaMBYxFDASBgNVBAMMC2EubGVhay50ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEP23tR1HSfJXH90q1PeoKhtMU3JHPxeQW9yTzV5UuOfT1KovY
wPs2gYYYUuPayPDWncdJ5+kSHylpEC/GfWyjN6N9MHswHQYDVR0OBBYEFOGlU91j
nHsQIw8IFMcMQPhpVCwnMB8GA1UdIwQYMBaAFOGlU91jnHsQIw8IFMcMQPhpVCwn
MCgGA1UdEQQhMB+CC2EubGVhay50ZXN0ghBnbG9iYWwubGVhay50ZXN0MA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAMmEA0DaRzSPU/rKhtFFSzde
dzaGNxx//d8W84gqQValAiEAutFHSFvVIIWzm+b4JyDQvO1mEXPwHENeOCUIGPC1
izA=
-----END CERTIFICATE-----
`,
};

/** What a record pins; the second stands for the spare key. */
export const PINS = [
  'sha256:81d2b4b28e0a5741da8e53455eb50bf26230837658a955f9c125bf6030cbab09',
  `sha256:${'0'.repeat(64)}`,
];
