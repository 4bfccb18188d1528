# The commands of the page that this program was made from, as it prints them, with a real image. What needs no build is in `tests/cli/seed_page.rs`.

copy_of_seed || return
mkdir -p "$PLACE/home/.config/image-composer"
cp "$SCRATCH/fixtures/seed-page/config.yaml" "$PLACE/home/.config/image-composer/config.yaml"
cat "$MINIMAL" "$SCRATCH/fixtures/seed-page/build.yml" >"$PLACE/my-image-spec.yml"
cd "$PLACE" || return
WRAP=(env "HOME=$PLACE/home")

# page LABEL COMMAND…: a command of the page.
page() {
    local label=$1
    shift 2
    composer "$label" "$@"
    check "image-composer $*" equals "$RC" 0
}

without_network page hit image-composer build my-image-spec.yml
check "an identical build is a copy" hit
mv debian12-minimal-1.0.raw first.raw

page no-cache image-composer build --no-cache my-image-spec.yml
check "--no-cache builds" says "$ERR" ' packages \([0-9]+ fetched, .*; 0 from'
check "and what it builds is the cached image" cmp first.raw debian12-minimal-1.0.raw
without_network page no-package-cache image-composer build --no-package-cache my-image-spec.yml
check "--no-package-cache leaves the image cache alone" hit
page no-image-cache image-composer build --no-image-cache my-image-spec.yml
check "--no-image-cache builds, with the packages of the cache" says "$ERR" 'packages (from a kept root|\(0 fetched)'
check "and the same again" cmp first.raw debian12-minimal-1.0.raw

page list image-composer cache list
ID=$(cut -c -12 "$OUT")
page info image-composer cache info "$ID"
page export image-composer cache export "$ID" ./my-exported-image.qcow2
mv my-exported-image.qcow2 my-image.qcow2
page import image-composer cache import ./my-image.qcow2
composer both cache list --json
check "an image that left and came in again is the same" equals "$(from_json "$OUT" images.0.image_digest)" "$(from_json "$OUT" images.1.image_digest)"

# The shells that people type this into; bash is asked in `tests/cli/completions.rs`.
for SHELL_NAME in zsh fish; do
    PATH=$SCRATCH/bin:$PATH IMAGE_COMPOSER_STORE=$STORE "$PYTHON" "$HERE/completions.py" "$SHELL_NAME" "image-composer cache stat" \
        "image-composer build --no-im" "image-composer cache info ${ID:0:6}" "image-composer cache export " >"$PLACE/$SHELL_NAME" 2>&1
    check "$SHELL_NAME completes commands, options and ids" \
        says "$PLACE/$SHELL_NAME" 'image-composer cache stats' 'image-composer build --no-image-cache' "image-composer cache info $ID"
    check "$SHELL_NAME shows the kept images with their names" says "$PLACE/$SHELL_NAME" "$ID (-- |\\()(debian12-minimal|my-image)"
done

page packages image-composer cache clean --packages
composer left cache list --json
check "cleaning the packages leaves the images" equals "$(from_json "$OUT" images.#)" 2
without_network page still image-composer build my-image-spec.yml
check "and the image cache still hits" hit
page images image-composer cache clean --images
composer none cache list --json
check "cleaning the images leaves none" equals "$(from_json "$OUT" images.#)" 0
page all image-composer cache clean --all
check "cleaning all leaves no blob" equals "$(blobs)" 0
cd "$SCRATCH" || return
