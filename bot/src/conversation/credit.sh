# Adds co-author lines to the commits that were not pushed yet. CREDITS has a line `since|e-mail|Name <e-mail>` for each person: their
# line belongs to every commit that is not behind `since` (`-` for all) and not their own. Commits are made anew from their own trees,
# so nothing can conflict, and the checkout is not touched. Done again, it changes nothing.
credit() {
  [ -n "$CREDITS" ] || return 0
  notes=$(mktemp -d) || return 1
  tip=
  for old in $(git rev-list --reverse --topo-order HEAD --not --remotes=origin); do
    parents= moved=
    for parent in $(git show -s --format=%P "$old"); do
      [ ! -f "$notes/$parent" ] || { parent=$(cat "$notes/$parent"); moved=yes; }
      parents="$parents -p $parent"
    done
    git cat-file commit "$old" | sed '1,/^$/d' >"$notes/message" || return 1
    cp "$notes/message" "$notes/before"
    printf '%s\n' "$CREDITS" | while IFS='|' read -r since email person; do
      if [ "$email" = "$(git show -s --format=%ae "$old")" ]; then continue; fi
      if [ "$since" != - ] && git merge-base --is-ancestor "$old" "$since" 2>/dev/null; then continue; fi
      git interpret-trailers --no-divider --in-place --if-exists addIfDifferent --trailer "Co-authored-by: $person" "$notes/message"
    done
    tip=$old
    if [ -n "$moved" ] || ! cmp -s "$notes/message" "$notes/before"; then
      tip=$(
        export GIT_AUTHOR_NAME="$(git show -s --format=%an "$old")" GIT_AUTHOR_EMAIL="$(git show -s --format=%ae "$old")"
        export GIT_COMMITTER_NAME="$(git show -s --format=%cn "$old")" GIT_COMMITTER_EMAIL="$(git show -s --format=%ce "$old")"
        export GIT_AUTHOR_DATE="$(git show -s --format=%ad --date=raw "$old")" GIT_COMMITTER_DATE="$(git show -s --format=%cd --date=raw "$old")"
        git commit-tree "$old^{tree}" $parents -F "$notes/message"
      ) || return 1
      echo "$tip" >"$notes/$old"
    fi
  done
  [ -z "$tip" ] || git update-ref HEAD "$tip"
  rm -rf "$notes"
}
