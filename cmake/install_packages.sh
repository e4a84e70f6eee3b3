# Sourced by tests/run.sh and examples/demo.sh.

# install_packages <Debian packages>...: installs those that are missing, and says so. Other systems are told what is
# needed and left alone.
install_packages() {
  if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
    echo "No apt-get here: these must be installed already (names of Debian's packages): $*"
    return 0
  fi
  local missing=() package
  for package in "$@"; do
    [[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2> /dev/null)" == ii* ]] || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    echo "All packages are installed: $*"
    return 0
  fi
  local as_root=()
  if [[ "$(id -u)" != 0 ]]; then
    command -v sudo > /dev/null || {
      echo "Missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
      return 1
    }
    as_root=(sudo)
  fi
  echo "Installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}
