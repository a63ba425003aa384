"""A small typeface, Aileron (CC0), drawn in pixels once: all glyphs side by side in one sheet."""

from typing import Final

HEIGHT: Final = 18
"""Rows of the sheet."""

CHARACTERS: Final = (
    " !\"#$%&'()*+,-"
    "./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghi"
    "jklmnopqrstuvwxyz{|}~©«°±´·»"
)
"""Whose glyphs there are, in the order of the sheet."""

WIDTHS: Final = (
    "c-l3Kxe>rX3<48`575c|cWWhvnGJY=$G!n+qp<u1EHp{l?k?HWo!%gR?QlP$ye<n6W;f=cbdR*XMl?$wxDEr4"
)
"""Columns of each glyph, one byte each, compressed by zlib, in base 85."""

SHEET: Final = (
    "c-rmNPjB2r6aery&cizmPItVCsws+g?Tt%w$iX2&<PeeZ){1gL<P#t-$$<k0Byxxl>e^l>agZf)1jK<#e1LG{=q6"
    "FP@)5Sc2Uz|b_7EZ7c-y88K?qQ9_+X8^qxsFedG9U2|IZ6~P`|wYw8UWcZze2Sm*dS!<Q+XW{;e3J-Z<AU2?`u>b"
    "%Kk)Mqp_RH)mQVZ$1`lQ0}fmf4JML^-KL_q6C(V>IZ}St$3(1CPJ3%^LlO2te3;JpLpV?!O^|ZGok~keJQF-al(Q"
    "|HD%Mgb0~bCR3h(}#k(wpVuG(b`itqj$r6-jz7i8$iy2D}xPRt%^KNb+iRZ2?WrkIt9*c0Thz5z(CC+<?jsuDQ6-"
    "6h=I!4OS;GunNfkfxj2vBTGB@86dMs~W#olvOUMG{Zl@HHO$8BPM!UycVm&E1dRY0udo?hS_D-u$E)r6*gjELj&M"
    "TEBwDEAjVbGjbtem8cY&X8+MHYSHhR;I5^C<serAfy4%~&R(uO5pTFaVrMD5H5EsdD2qT8b560<e%1c+e375o#hg"
    "kzThlJLNWAfR6$O39Ca6~VROGW(x>#Us-v_$GIPmtnBNFeoGA+)Kn33qm8___EjnH}tREiWZk+*MS;9}5TuzA?P)"
    "X5!{uHUr-DFXv;uqhG^MPdy;qchfj95p$K(&Vv?ocF)4#56p3^!SXcy^PHw+s-!B-9h|zDM{RJyl)v$rf37y@;1Y"
    "s7FV8#Ql;B>zIk{gT%0{*lhA{%gK&Y#*TFcdTJ(+9fJC7LP*hnOW-g9Jx<{9y>SgaK58@4_@6l__-!f=l=u%X*sG"
    "bu|m3qq$$|J|c=|eU{XN-=iAicyR(TK-lbOQS}3K0q_9|^`=#UlEYDZ<p^G_vJvJ_<qQT`ev&=a-BLNOY=JQN8zE"
    "RGCT_W*(?x+6PR1F-anGOxS!q^}5iZ#DIv$s$2(}D&&b9(<&@|gWJ})IxLmV*%_1Bihl;(+${`4NNc`pm}Ak_nbU"
    "TPfHH>?k1{8B)%lA2!HG&;9luQJ0#qcnP_6-W02W6z2rgD3DL-)P{fA#^F#&Gt4$u?qH<dNTcR$NaQWmvxXJoK}w"
    "EQ5gjViJJX)@TEb#{XG+-)9;;pk@Gj6Ra`#E&k<9f0ofvag1;`jyU9wE(vN7mZC_>8tf}JY@K!S;i1QolAX{4ga("
    "TyLRQ>f7oJKah=Fs<X_PU%qt>`pB4WAVnzD&"
)
"""One bit a pixel, the first the highest, rows padded to bytes; compressed by zlib, in base 85."""
