// Sets the cookie by which pages show times in the browser's zone (accounts/admin/time_zone.py), from the next page on.
document.cookie =
  `gateway_time_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=strict`;
