# Takes the README's code blocks apart. Usage: awk -v dir=DIR -v tool=curl -f readme.awk README.md
#
# Writes each block that has a line which begins with `tool`, or sets a variable from it, to DIR/NN.sh, in order. When the
# text after a block begins with `answers NNN`, that status goes to DIR/NN.status: the README says that the command is
# refused.
/^```/ {
    if (!open) { open = 1; body = ""; ours = 0; next }
    open = 0
    if (ours) { number++; name = sprintf("%s/%02d", dir, number); printf "%s", body > (name ".sh"); close(name ".sh"); after = name }
    next
}
open {
    body = body $0 "\n"
    if ($0 ~ "^([A-Z_]+=\\$\\()?" tool " ") ours = 1
    next
}
after != "" && NF {
    if ($1 == "answers") { status = $2; sub(/,.*/, "", status); print status > (after ".status"); close(after ".status") }
    after = ""
}
